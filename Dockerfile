# The same commands as outside, without a virtual environment: docker build -t mezzotint . && docker run -p 127.0.0.1:8000:8000 mezzotint
FROM python:3.13-slim

ENV MEZZOTINT_NO_VENV=1 MEZZOTINT_DATA=/data MEZZOTINT_HOST=0.0.0.0 MEZZOTINT_PUBLIC=1 HF_HOME=/data/huggingface \
    PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
# The container listens on all of its own addresses; the port that docker publishes decides who can reach it.
# Its user has no home, so checkpoints of the hub are kept with the data: they outlive the container, too.

WORKDIR /srv/mezzotint
COPY pyproject.toml app/constraints.txt app/bootstrap.py /tmp/setup/
# For a CPU-only image: docker build --build-arg PIP_EXTRA_INDEX_URL=(the CPU index that pytorch.org names)
ARG PIP_EXTRA_INDEX_URL=""
RUN cd /tmp/setup \
    && python3 -c "import bootstrap, pathlib, tomllib; print('\n'.join(bootstrap.requirements(tomllib.loads(pathlib.Path('pyproject.toml').read_text()), None)))" > requirements.txt \
    && PIP_EXTRA_INDEX_URL="$PIP_EXTRA_INDEX_URL" pip install -c constraints.txt -r requirements.txt \
    && rm -rf /tmp/setup

COPY . .
RUN useradd --system --uid 10001 mezzotint && mkdir /data && chown mezzotint /data
USER mezzotint
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["python3", "-m", "app"]
