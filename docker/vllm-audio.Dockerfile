# vLLM's image leaves out the libraries that read audio, for their licences; a model that listens needs them.
ARG VLLM_VERSION=0.32.0
FROM vllm/vllm-openai:v${VLLM_VERSION}
ARG VLLM_VERSION
RUN uv pip install --system "vllm[audio]==${VLLM_VERSION}"
