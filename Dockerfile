# The sidecar in a small image: built from the lock with its hashes, run without root, nothing written at run time.
# It holds no secret and sets no variable of the sidecar's: HOST stays 127.0.0.1 unless it is set at the start.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/sidecar
COPY requirements.lock ./
RUN /opt/sidecar/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY sidecar sidecar
COPY worker worker
# pip compiles the bytecode. Build tools are removed: setuptools' hook would also slow every start.
RUN /opt/sidecar/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/sidecar/bin/pip uninstall --yes setuptools pip
COPY deploy/healthcheck.py /opt/sidecar/healthcheck.py

FROM python:3.13-slim
LABEL org.opencontainers.image.title="openai-moodle-sidecar" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/sidecar /opt/sidecar
ENV PATH=/opt/sidecar/bin:$PATH
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
# podman and buildah leave this out of an image in their own format: build with --format=docker.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "/opt/sidecar/healthcheck.py"]
ENTRYPOINT ["openai-moodle-sidecar"]
