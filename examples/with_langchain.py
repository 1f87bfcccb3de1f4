"""
LangChain: its chat model for OpenAI, with the router's address.

    pip install langchain-openai && python examples/with_langchain.py
"""

import os
import uuid

from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    base_url=os.environ.get("SMART_ROUTER_URL", "http://localhost:8001") + "/v1",
    api_key=os.environ.get("API_KEY", "none"),
    model="auto",
    default_headers={"X-Session-ID": str(uuid.uuid4())},  # one for each conversation
    include_response_headers=True,  # to see the decision; not needed to be routed
)
chain = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{query}")]) | model

answer = chain.invoke({"query": "Write a Python function to sort a list"})
print(answer.content)
headers = answer.response_metadata["headers"]
print(f"-> {headers['x-route-use-case']} ({headers['x-route-reason']}) on {headers['x-route-model']}")

for chunk in chain.stream({"query": "Add error handling to that function"}):
    print(chunk.content, end="", flush=True)
print()
