# For those who prefer a Dockerfile: docker build -t privacy-operator .
#
# The project's own image comes from `make image`, which needs no base image; continuous integration does
# not build this file, because it runs where no image registry can be reached.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && strip target/release/privacy-operator

# glibc, libgcc and CA certificates, and a user that is not root (65532); no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/privacy-operator /usr/local/bin/privacy-operator
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/privacy-operator"]
