"""
What the migration's Job does about the administrator of an application with a user model of its own. The script is the
one that components/django/index.ts renders for polls, which runs it in the image.
"""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

RENDERED = Path(__file__).parents[3] / "test" / "golden" / "dev.yaml"
BLOCK = re.search(r"name: ADMINISTRATOR\n\s*value: \|-\n((?: {16}.*\n|\n)+)", RENDERED.read_text())
SCRIPT = textwrap.dedent(BLOCK[1])

MODELS = """
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models

class Manager(BaseUserManager):
    def create_superuser(self, password, **fields):
        if fields.get("{refused}"):
            raise TypeError("create_superuser() takes no such thing")
        user = self.model(**fields)
        user.set_password(password)
        user.save()

class Member(AbstractBaseUser):
    username = models.CharField(max_length=20, unique=True)
    phone = models.CharField(max_length=20, unique=True)
    full_name = models.CharField(max_length=20)
    USERNAME_FIELD = "{username}"
    REQUIRED_FIELDS = {required}
    objects = Manager()
"""

RUN = """
import sys
import django
from django.conf import settings
from django.core.management import call_command
settings.configure(
    SECRET_KEY="of the tests",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "members"],
    AUTH_USER_MODEL="members.Member",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "data.sqlite3"}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
if "unmigrated" not in sys.argv:
    call_command("migrate", run_syncdb=True, verbosity=0)
exec(compile(sys.stdin.read(), "administrator", "exec"), {})
from members.models import Member
print([(user.username, user.phone, user.full_name, user.check_password("second")) for user in Member.objects.all()])
"""


@pytest.fixture
def administrate(tmp_path):
    def run(username, required, *arguments, refused="", **variables):
        members = tmp_path / "members"
        members.mkdir(exist_ok=True)
        (members / "__init__.py").write_text("")
        (members / "models.py").write_text(MODELS.format(username=username, required=required, refused=refused))
        given = {"USERNAME": "admin", "EMAIL": "admin@localhost", "PASSWORD": "first"} | variables
        ran = subprocess.run(
            [sys.executable, "-c", RUN, *arguments],
            input=SCRIPT,
            capture_output=True,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(tmp_path),
                "PYTHONDONTWRITEBYTECODE": "1",
                **{f"DJANGO_SUPERUSER_{name}": value for name, value in given.items()},
            },
            text=True,
        )
        return ran.returncode, ran.stdout.splitlines(), ran.stderr

    return run


def test_a_user_model_that_requires_more_has_a_warning(administrate):
    status, lines, _ = administrate("phone", ["full_name"])
    wanted = "DJANGO_SUPERUSER_PHONE, DJANGO_SUPERUSER_FULL_NAME"
    reason = f"the user model requires {wanted}; set them in env, then deploy again"
    assert (status, lines) == (0, [f"WARNING: there is no administrator: {reason}", "[]"])


def test_the_variables_of_the_stack_make_the_administrator_who_keeps_the_secrets_password(administrate):
    status, lines, _ = administrate("phone", ["full_name"], PHONE="+4712345678", FULL_NAME="Ada")
    assert (status, lines[-1]) == (0, "[('', '+4712345678', 'Ada', False)]")
    status, lines, _ = administrate("phone", ["full_name"], PHONE="+4712345678", FULL_NAME="Ada", PASSWORD="second")
    assert (status, lines) == (0, ["+4712345678 has a new password", "[('', '+4712345678', 'Ada', True)]"])


def test_a_manager_that_refuses_has_a_warning(administrate):
    status, lines, _ = administrate("username", ["full_name"], refused="full_name", FULL_NAME="Ada")
    reason = "TypeError: create_superuser() takes no such thing"
    assert (status, lines) == (0, [f"WARNING: there is no administrator: {reason}", "[]"])


def test_a_database_that_fails_fails_the_job(administrate):
    status, _, errors = administrate("username", [], "unmigrated")
    assert status != 0
    assert "OperationalError" in errors
