"""Start a PostgreSQL of our own, run the tests in this directory on it, and end it: `make test-services`.

Problem: a database server is nothing that `make test` may ask for, and a run must not touch one that is there.
What we do: initdb into a temporary directory, listen on a socket in it and on no port, and remove it all at the end.
PostgreSQL refuses to run as root; started by root it runs as `postgres` or, where there is no such user, `nobody`.
With TEST_POSTGRES_URL=postgresql://user@host/database that server is used, and tables named preemptio_* in it.

Context: run by the interpreter of the environment that has the test extra. Exit status: pytest's; 2 without a server.
"""

import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MISSING = """No PostgreSQL server found: neither initdb and pg_ctl on PATH, nor /usr/lib/postgresql/*/bin.
Install one:   apt-get install postgresql     (Debian, Ubuntu)
               dnf install postgresql-server  (Fedora)
               brew install postgresql        (macOS)
or name one:   TEST_POSTGRES_URL=postgresql://user@host/database make test-services"""
UNPRIVILEGED = ("postgres", "nobody")


def find(name):
    """Return the newest program of this name; Debian keeps them out of PATH."""
    found = shutil.which(name)
    versions = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    return found or (max(versions, key=lambda path: float(path.split("/")[4])) if versions else None)


def servant():
    """Return who runs the server: a user of this machine when we are root, else None."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    sys.exit(f"PostgreSQL does not run as root, and there is no user {' or '.join(UNPRIVILEGED)}: run as another user")


def run_as(user, *command):
    """Run a command of the server's, and show what it says only when it fails."""
    rights = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with tempfile.TemporaryFile("w+") as said:  # not a pipe, which the server would keep open
        done = subprocess.run(command, cwd="/", stdout=said, stderr=said, check=False, **rights)
        if done.returncode:
            said.seek(0)
            sys.exit(f"{said.read()}\nexit status {done.returncode} from {' '.join(command)}")


def test(url):
    """Run the tests on this server; return pytest's status."""
    environ = {**os.environ, "TEST_POSTGRES_URL": url}
    command = [sys.executable, "-m", "pytest", HERE / "postgres.py", *sys.argv[1:]]
    return subprocess.run(command, cwd=HERE.parents[1], env=environ, check=False).returncode


def main():
    """Find or start a server; return the exit status."""
    url = os.environ.get("TEST_POSTGRES_URL")
    if url:
        return test(url)
    initdb, pg_ctl = find("initdb"), find("pg_ctl")
    if initdb is None or pg_ctl is None:
        print(MISSING, file=sys.stderr)
        return 2
    user = servant()
    folder = tempfile.mkdtemp(prefix="preemptio-")
    try:
        if user is not None:
            print(f"running the server as {user.pw_name}, since it refuses to run as root", flush=True)
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = f"{folder}/data"
        run_as(user, initdb, "-D", data, "-U", "preemptio", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run_as(user, pg_ctl, "-D", data, "-l", f"{folder}/log", "-o", options, "-w", "start")
        try:
            return test(f"postgresql://preemptio@/postgres?host={folder}")
        finally:
            run_as(user, pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
