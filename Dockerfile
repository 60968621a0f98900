# The installation, in a stage of its own, so that the image carries neither pip's cache nor a build tool.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/ocppd
COPY setup.cfg pyproject.toml LICENSE README.md ./
COPY ocppd ./ocppd
COPY twisted ./twisted
RUN /opt/ocppd/bin/pip install --no-cache-dir '.[postgres]'
# twistd's plugin cache is written here, as root: the user of the daemon may not write into the installation.
RUN /opt/ocppd/bin/twistd --help > /dev/null \
    && test -s "$(/opt/ocppd/bin/python -c 'import twisted.plugins as p; print(list(p.__path__)[0])')/dropin.cache"

FROM python:3.11-slim
RUN useradd --uid 9033 --user-group --home-dir /var/lib/ocppd --create-home --shell /usr/sbin/nologin ocppd
COPY --from=build /opt/ocppd /opt/ocppd
COPY configs.json /etc/ocppd/configs.json
ENV PATH=/opt/ocppd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OCPPD_PORT=8080 \
    OCPPD_CONFIG=/etc/ocppd/configs.json \
    OCPPD_DATABASE=sqlite:////var/lib/ocppd/ocppd.sqlite \
    OCPPD_OPEN_API=gateway
USER ocppd
WORKDIR /var/lib/ocppd
VOLUME /var/lib/ocppd
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
# No pidfile: in a container every daemon is process 1. SIGTERM, docker's own, ends it with status 0.
CMD ["twistd", "-n", "--pidfile=", "ocppd"]
