"""Reading multipart/form-data, as much of it as the audio paths need."""

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class File:
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    fields: dict[str, str]
    files: dict[str, File]

    def as_noted(self) -> dict[str, object]:
        """For the list of received requests: a file by its name and size."""
        files = {name: {"filename": file.name, "bytes": len(file.data)} for name, file in self.files.items()}
        return {**self.fields, **files}


async def read_form(request: Request) -> Form:
    """The form, empty when the body is not one."""
    content_type = Message()
    content_type["content-type"] = request.headers.get("content-type", "")
    boundary = content_type.get_param("boundary")
    fields: dict[str, str] = {}
    files: dict[str, File] = {}
    for head, data in _parts(await request.body(), str(boundary or "")):
        name = str(head.get_param("name", "", "content-disposition"))
        if (filename := head.get_filename()) is not None:
            files[name] = File(filename, data)
        else:
            fields[name] = data.decode("utf-8", "replace")
    return Form(fields, files)


def _parts(body: bytes, boundary: str) -> Iterator[tuple[Message, bytes]]:
    if not boundary:
        return
    mark = b"\r\n--" + boundary.encode()
    for part in (b"\r\n" + body).split(mark)[1:]:
        head, found, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if found and not part.startswith(b"--"):
            yield BytesParser().parsebytes(head), data
