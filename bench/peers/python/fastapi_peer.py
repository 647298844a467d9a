"""FastAPI, without a database: uvicorn --no-access-log fastapi_peer:app"""

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

app = FastAPI()


class Message(BaseModel):
    message: str


@app.get("/json")
async def json() -> Message:
    return Message(message="Hello, World!")


@app.get("/plaintext", response_class=PlainTextResponse)
async def plaintext():
    return "Hello, World!"
