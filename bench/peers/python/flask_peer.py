"""Flask with SQLAlchemy's ORM: gunicorn -k gthread flask_peer:app, DATABASE_URL=sqlite:////abs/path.db"""

import os
import random

from flask import Flask, Response, jsonify, render_template, request
from sqlalchemy import create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

app = Flask(__name__, template_folder=os.path.dirname(os.path.abspath(__file__)))
app.json.compact = True
# SQLAlchemy wants four slashes before an absolute path, we name three.
path = os.environ.get("DATABASE_URL", "sqlite://:memory:").removeprefix("sqlite://")
engine = create_engine(f"sqlite:///{path}", pool_size=16, max_overflow=0)
Session = sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine, "connect")
def configure(connection, _record):
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=5000")


class Base(DeclarativeBase):
    pass


class World(Base):
    __tablename__ = "world"
    id: Mapped[int] = mapped_column(primary_key=True)
    randomnumber: Mapped[int]


class Fortune(Base):
    __tablename__ = "fortune"
    id: Mapped[int] = mapped_column(primary_key=True)
    message: Mapped[str]


def random_id():
    return random.randint(1, 10000)


def shown(world):
    return {"id": world.id, "randomNumber": world.randomnumber}


def ids():
    try:
        number = min(max(int(request.args.get("queries", 1)), 1), 500)
    except ValueError:
        number = 1
    return random.sample(range(1, 10001), number)


@app.get("/json")
def json_():
    return jsonify(message="Hello, World!")


@app.get("/plaintext")
def plaintext():
    return Response("Hello, World!", content_type="text/plain")


@app.get("/db")
def db():
    with Session() as session:
        return jsonify(shown(session.get(World, random_id())))


@app.get("/queries")
def queries():
    with Session() as session:
        return jsonify([shown(session.get(World, id)) for id in ids()])


@app.get("/fortunes")
def fortunes():
    with Session() as session:
        rows = list(session.scalars(select(Fortune)))
    rows.append(Fortune(id=0, message="Additional fortune added at request time."))
    rows.sort(key=lambda fortune: fortune.message)
    return render_template("fortunes_jinja.html", fortunes=rows)


@app.get("/updates")
def updates():
    with Session() as session:
        session.connection().exec_driver_sql("BEGIN IMMEDIATE")
        worlds = [session.get(World, id) for id in ids()]
        for world in worlds:
            world.randomnumber = random_id()
        answer = [shown(world) for world in worlds]
        session.commit()
    return jsonify(answer)
