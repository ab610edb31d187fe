# One image per service; each installs and copies only what that service may import.
# Built by docker compose; docs/deploy.md explains the build arguments.

# Pinned versions, and wheels brought along in wheels/ (the folder may be missing or empty).
FROM scratch AS packages
COPY requirements.lock /
COPY requirements /requirements
COPY wheel[s] /wheels

FROM python:3.11-slim-bookworm AS base
RUN groupadd --gid 10001 foglab \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin foglab \
 && install -d -o 10001 -g 10001 -m 0700 /data /data/tmp
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    FOGLAB_HOME=/data
WORKDIR /app

# ---- packages of each image ---------------------------------------------------------

FROM base AS venv
RUN python -m venv --without-pip /venv
# For machines without a network: everything must then lie in wheels/.
ARG PIP_NO_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

FROM venv AS api-venv
RUN --mount=type=bind,from=packages,target=/packages --mount=type=cache,target=/root/.cache/pip \
    pip --python /venv/bin/python install --only-binary=:all: --find-links /packages/wheels \
      -c /packages/requirements.lock -r /packages/requirements/api.txt

FROM venv AS dashboard-venv
RUN --mount=type=bind,from=packages,target=/packages --mount=type=cache,target=/root/.cache/pip \
    pip --python /venv/bin/python install --only-binary=:all: --find-links /packages/wheels \
      -c /packages/requirements.lock -r /packages/requirements/dashboard.txt

FROM venv AS ingest-venv
RUN --mount=type=bind,from=packages,target=/packages --mount=type=cache,target=/root/.cache/pip \
    pip --python /venv/bin/python install --only-binary=:all: --find-links /packages/wheels \
      -c /packages/requirements.lock -r /packages/requirements/ingest.txt

FROM ingest-venv AS worker-venv
# Of two builds of one version pip takes the labelled one, such as 2.13.0+cpu. TORCH=cuda hides
# the CPU builds in wheels/; PIP_EXTRA_INDEX_URL names an index that has the build you want.
ARG TORCH=cpu
ARG PIP_EXTRA_INDEX_URL=
RUN --mount=type=bind,from=packages,target=/packages --mount=type=cache,target=/root/.cache/pip \
    mkdir /wheels \
 && for wheel in /packages/wheels/*.whl; do \
      case "$TORCH:$wheel" in cuda:*+cpu* | *'*.whl') ;; *) ln -s "$wheel" /wheels/ ;; esac; \
    done \
 && pip --python /venv/bin/python install --only-binary=:all: --find-links /wheels \
      -c /packages/requirements.lock -r /packages/requirements/worker.txt

# ---- images -------------------------------------------------------------------------

FROM base AS api
COPY --from=api-venv /venv /venv
COPY core/__init__.py core/artifacts.py core/disk.py core/logs.py core/recorder.py core/
COPY core/data core/data
COPY core/jobs core/jobs
COPY core/sandbox core/sandbox
COPY foglab foglab
COPY api api
RUN printf '#!/bin/sh\nexec python -m foglab.cli "$@"\n' >/usr/local/bin/foglab \
 && chmod 0755 /usr/local/bin/foglab \
 && python -m compileall -q /app
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "api", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS dashboard
COPY --from=dashboard-venv /venv /venv
COPY core/__init__.py core/
COPY core/jobs core/jobs
COPY foglab foglab
COPY dashboard dashboard
COPY docs/formats.md docs/
RUN python -m compileall -q /app
USER 10001:10001
EXPOSE 8501
CMD ["streamlit", "run", "dashboard/streamlit_app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]

FROM base AS ingest
COPY --from=ingest-venv /venv /venv
COPY core/__init__.py core/artifacts.py core/disk.py core/logs.py core/pictures.py core/recorder.py core/stop_flag.py core/
COPY core/data core/data
COPY core/jobs core/jobs
COPY core/sandbox core/sandbox
COPY core/stages/__init__.py core/stages/detect.py core/stages/ingest.py core/stages/derive.py core/stages/export.py core/stages/
COPY worker worker
RUN python -m compileall -q /app
USER 10001:10001
CMD ["celery", "-q", "-A", "worker.app", "worker", "-l", "INFO", "-Q", "ingest", "-n", "ingest@%h", "--without-gossip", "--without-mingle", "--without-heartbeat"]

FROM base AS worker
COPY --from=worker-venv /venv /venv
COPY core core
COPY worker worker
RUN python -m compileall -q /app
USER 10001:10001
CMD ["celery", "-q", "-A", "worker.app", "worker", "-l", "INFO", "-Q", "gpu", "-n", "gpu@%h", "--without-gossip", "--without-mingle", "--without-heartbeat"]
