# The binary, built from the lock file.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --profile release-lto --locked --bin portcullis

# What runs: the binary, the certificates of public authorities, a user without rights.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin portcullis \
    && install -d -o portcullis -g portcullis -m 0700 /var/lib/portcullis
COPY --from=build /src/target/release-lto/portcullis /usr/local/bin/portcullis

# Bound beyond loopback it is production: public_url and a master key come from outside, as files or
# variables at run time, and never stand in an image.
ENV PORTCULLIS__DATA_DIR=/var/lib/portcullis \
    PORTCULLIS__HTTP__LISTEN=0.0.0.0:8080
USER 10001
WORKDIR /var/lib/portcullis
VOLUME /var/lib/portcullis
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/portcullis"]
CMD ["serve"]
