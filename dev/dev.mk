# Targets for the development cluster; included by the Makefile.
# State is in .dev (or $DEV_STATE), what is costly in ~/.cache/privacy-operator.

.PHONY: cluster-up cluster-down tools s3-server image load-image postgres-image s3-image

cluster-up: ## create or repair the development cluster (CLUSTER=current: use kubectl's current context)
	@dev/cluster/up.sh

cluster-down: ## delete the development cluster and stop all that it started
	@dev/cluster/down.sh

tools: ## kubectl and helm into .dev/bin, each when the machine has none
	@dev/tools.sh

s3-server: ## an S3 server for tests into .dev/bin, when the machine has none
	@dev/tools.sh s3

image: ## build the operator and its image, target/image/privacy-operator.tar
	cargo build --release --locked
	@dev/image/build.py

load-image: ## load the operator's image into the development cluster
	@dev/image/load.sh target/image/privacy-operator.tar

postgres-image: ## a PostgreSQL image from Debian's packages, loaded into the development cluster
	@dev/postgres/image.sh

s3-image: ## an image of the S3 server, loaded into the development cluster
	@dev/s3/image.sh
