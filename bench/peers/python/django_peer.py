"""Django in one file: gunicorn -k gthread django_peer:wsgi, DATABASE_URL=sqlite:///abs/path.db

MIDDLEWARE=1 turns on the middleware of `startproject`, to compare with our default protections.
"""

import os
import random

import django
from django.conf import settings

HERE = os.path.dirname(os.path.abspath(__file__))
FURNISHED = os.environ.get("MIDDLEWARE") == "1"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "django.contrib.messages"]

settings.configure(
    DEBUG=False,
    SECRET_KEY="x" * 50,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=MIDDLEWARE if FURNISHED else [],
    INSTALLED_APPS=APPS if FURNISHED else [],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    USE_I18N=False,
    USE_TZ=False,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [HERE],
            "OPTIONS": {
                "loaders": [
                    ("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"])
                ]
            },
        }
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("DATABASE_URL", "sqlite://:memory:").removeprefix("sqlite://"),
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "timeout": 5,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models, transaction  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.shortcuts import render  # noqa: E402
from django.urls import path  # noqa: E402


class World(models.Model):
    randomnumber = models.IntegerField()

    class Meta:
        app_label = "peer"
        db_table = "world"
        managed = False


class Fortune(models.Model):
    message = models.CharField(max_length=2048)

    class Meta:
        app_label = "peer"
        db_table = "fortune"
        managed = False


def random_id():
    return random.randint(1, 10000)


def shown(world):
    return {"id": world.id, "randomNumber": world.randomnumber}


def ids(request):
    try:
        number = min(max(int(request.GET.get("queries", 1)), 1), 500)
    except ValueError:
        number = 1
    return random.sample(range(1, 10001), number)


def json(request):
    return JsonResponse({"message": "Hello, World!"})


def plaintext(request):
    return HttpResponse("Hello, World!", content_type="text/plain")


def db(request):
    return JsonResponse(shown(World.objects.get(id=random_id())))


def queries(request):
    return JsonResponse([shown(World.objects.get(id=id)) for id in ids(request)], safe=False)


def fortunes(request):
    rows = list(Fortune.objects.all())
    rows.append(Fortune(id=0, message="Additional fortune added at request time."))
    rows.sort(key=lambda fortune: fortune.message)
    return render(request, "fortunes_django.html", {"fortunes": rows})


def updates(request):
    with transaction.atomic():
        worlds = [World.objects.get(id=id) for id in ids(request)]
        for world in worlds:
            world.randomnumber = random_id()
        World.objects.bulk_update(worlds, ["randomnumber"])
    return JsonResponse([shown(world) for world in worlds], safe=False)


urlpatterns = [
    path("json", json),
    path("plaintext", plaintext),
    path("db", db),
    path("queries", queries),
    path("fortunes", fortunes),
    path("updates", updates),
]
wsgi = get_wsgi_application()
