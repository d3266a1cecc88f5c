"""Moodle's web server: nginx in front of PHP-FPM with a worker for each person of a class. No promises here."""

import os
import time
from pathlib import Path
from typing import Final

from tests.support.moodle.programs import Background, program

WORKERS: Final = 108
"""PHP processes: one for each of a hundred people who wait, and some for the pages beside them."""
_READY_SECONDS: Final = 60.0

_POOL: Final = """
[global]
error_log = {folder}/fpm.log
daemonize = no
[moodle]
listen = {folder}/fpm.sock
listen.backlog = 1024
pm = static
pm.max_children = {workers}
request_terminate_timeout = 90s
php_admin_value[error_log] = {folder}/php-errors.log
php_admin_value[max_input_vars] = 5000
php_admin_value[memory_limit] = 256M
php_admin_value[opcache.memory_consumption] = 256
php_admin_value[opcache.max_accelerated_files] = 20000
php_admin_value[opcache.revalidate_freq] = 0
php_admin_flag[log_errors] = on
php_admin_flag[display_errors] = off
"""

_NGINX: Final = """
daemon off; worker_processes 1; error_log {folder}/nginx.log; pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    include {types};
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        index index.php;
        location / {{ try_files $uri $uri/ /r.php; }}
        location ~ [^/]\\.php(/|$) {{
            fastcgi_split_path_info ^(.+?\\.php)(/.*)$;
            include {parameters};
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param PATH_INFO $fastcgi_path_info;
            fastcgi_read_timeout 90s;
            fastcgi_pass unix:{folder}/fpm.sock;
        }}
    }}
}}
"""


class Web:
    """nginx and PHP-FPM of one site; the address stays the same over restarts."""

    def __init__(self, folder: Path, root: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._running: list[Background] = []
        names = {"folder": folder, "root": root, "port": port, "workers": WORKERS}
        files = {"types": "/etc/nginx/mime.types", "parameters": "/etc/nginx/fastcgi_params"}
        (folder / "fpm.conf").write_text(_POOL.format(**names))
        (folder / "nginx.conf").write_text(_NGINX.format(**names, **files))

    def start(self) -> None:
        """Return when nginx and every PHP worker wait for requests."""
        if self._running:
            return
        socket = self._folder / "fpm.sock"
        socket.unlink(missing_ok=True)
        fpm = (program("php-fpm*"), "--nodaemonize", "--fpm-config", self._folder / "fpm.conf")
        nginx = (program("nginx"), "-p", self._folder, "-c", self._folder / "nginx.conf")
        log = self._folder / "web.log"
        self._running = [Background(*words, folder=self._folder, log=log) for words in (fpm, nginx)]
        end = time.monotonic() + _READY_SECONDS
        while not (socket.exists() and (self._folder / "nginx.pid").exists()):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        while self._running:
            self._running.pop().stop()
        (self._folder / "nginx.pid").unlink(missing_ok=True)

    def cpu_seconds(self) -> float:
        """Return the CPU time that PHP's workers have used since the start."""
        fpm = self._running[0].process.pid
        pids = Path(f"/proc/{fpm}/task/{fpm}/children").read_text("ascii").split()
        # utime and stime of proc(5), behind the name in brackets, which may hold spaces.
        times = (Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[11:13] for pid in pids)
        return sum(int(user) + int(system) for user, system in times) / os.sysconf("SC_CLK_TCK")

    def complaints(self) -> list[str]:
        """Return the lines of PHP's error log since the last call."""
        file = self._folder / "php-errors.log"
        lines = file.read_text("utf-8", "replace").splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines
