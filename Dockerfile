# sluice, and with `--target demo` the demo's load. Build from this folder: docker build -t sluice .
# Node is the release that package.json's scripts run with: what was tested is what runs.
FROM node:24.21.0-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

# In a layer of its own: dependencies change less often than sources.
FROM node:24.21.0-trixie-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

# The shop's tables and load, as `npm run demo` has them; Node runs TypeScript as it is.
FROM node:24.21.0-trixie-slim AS demo
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY demo/load-only.ts demo/load.ts demo/schema.ts demo/
USER 10001:10001
ENTRYPOINT ["node", "/app/demo/load-only.ts"]

FROM node:24.21.0-trixie-slim
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Carries PostgreSQL changes from Debezium's Redis Streams into a PostgreSQL read database" \
      org.opencontainers.image.licenses="Apache-2.0"
# Loopback, the default, is nobody's but the container's own.
ENV NODE_ENV=production \
    SLUICE_HTTP_ADDRESS=0.0.0.0:9470
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY migrations migrations
COPY --from=build /app/dist dist
# As a number: Kubernetes' runAsNonRoot does not look names up.
USER 10001:10001
EXPOSE 9470
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/dist/main.js", "healthcheck"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["run"]
