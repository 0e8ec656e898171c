# One image for every process of the platform: `metrist api`, `worker`, `scheduler`, `migrate`, `agent`, or `up`.
# It runs as nobody in particular, needs no capability, and writes to /tmp and /var/lib/metrist/spool alone.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/metrist
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY domain domain
COPY schema schema
COPY api api
COPY workers workers
COPY dashboards dashboards
COPY rendering rendering
COPY agent agent
COPY metrist metrist
RUN /opt/metrist/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt .

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 metrist \
 && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/metrist --create-home metrist \
 && install -d -o metrist -g metrist /var/lib/metrist/spool
COPY --from=build /opt/metrist /opt/metrist
ENV PATH=/opt/metrist/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    METRIST_LOG_FORMAT=json \
    METRIST_HOST=0.0.0.0 \
    METRIST_SPOOL_DIR=/var/lib/metrist/spool
USER 10001:10001
WORKDIR /var/lib/metrist
EXPOSE 8600
ENTRYPOINT ["metrist"]
CMD ["api"]
