"""The same service on Django's ASGI handler, in one file."""

import asyncio

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path
from work import compute

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="test", MIDDLEWARE=[])


async def health(_request):
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    return JsonResponse({"loop": type(loop).__name__, "task": type(task).__name__})


async def crunch(_request):
    return JsonResponse({"total": compute()})


urlpatterns = [path("health", health), path("crunch", crunch)]
app = get_asgi_application()
