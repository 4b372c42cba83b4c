# docker buildx bake -f docker/docker-bake.hcl            every image, in parallel, from the repository root
# docker buildx bake -f docker/docker-bake.hcl production one of them
# The variables are those of the env file; the environment sets them.

variable "PYTHON_IMAGE" { default = "python:3.13-slim" }
variable "NGINX_IMAGE" { default = "nginx:1.30.4" }
variable "COTAI_REPOSITORY" { default = "cotai" }
variable "COTAI_TAG" { default = "dev" }
variable "COTAI_VERSION" { default = "dev" }
variable "APP_CONTEXT" { default = "docker/reference/backend" }
variable "APP_MODULE" { default = "app.main:app" }
variable "CELERY_APP" { default = "app.worker:celery_app" }
variable "LLM_CONTEXT" { default = "docker/reference/llm" }
variable "LLM_MODULE" { default = "gateway.main:app" }
# Debian packages for dependencies that have no wheel: to compile them, and to load them.
variable "BUILD_PACKAGES" { default = "" }
variable "RUNTIME_PACKAGES" { default = "" }
# A PEM bundle of a corporate certificate authority, for the installation of packages during the build.
variable "BUILD_CA_FILE" { default = "" }

group "default" {
  targets = ["development", "production", "celery-worker", "celery-beat", "llm-processor", "flower", "nginx"]
}

target "stage" {
  name = image
  matrix = {
    image = ["base", "development", "production", "celery-worker", "celery-beat", "llm-processor", "flower"]
  }
  target     = image
  context    = "docker"
  dockerfile = "Dockerfile"
  contexts = {
    app = APP_CONTEXT
    llm = LLM_CONTEXT
  }
  args = {
    PYTHON_IMAGE     = PYTHON_IMAGE
    APP_MODULE       = APP_MODULE
    CELERY_APP       = CELERY_APP
    LLM_MODULE       = LLM_MODULE
    COTAI_VERSION    = COTAI_VERSION
    BUILD_PACKAGES   = BUILD_PACKAGES
    RUNTIME_PACKAGES = RUNTIME_PACKAGES
  }
  secret = BUILD_CA_FILE == "" ? [] : ["id=ca,src=${BUILD_CA_FILE}"]
  tags   = ["${COTAI_REPOSITORY}/${image}:${COTAI_TAG}"]
  labels = {
    "org.opencontainers.image.title"   = "CotAi ${image}"
    "org.opencontainers.image.version" = COTAI_VERSION
    "cotai.application"                = "${APP_MODULE} ${CELERY_APP} ${LLM_MODULE}"
  }
  # Attestations would turn a local image into an index that the engine's own store does not hold.
  attest = ["type=provenance,disabled=true", "type=sbom,disabled=true"]
  output = ["type=docker"]
}

# The way in, with its configuration.
target "nginx" {
  context = "nginx"
  args = {
    NGINX_IMAGE   = NGINX_IMAGE
    COTAI_VERSION = COTAI_VERSION
  }
  tags = ["${COTAI_REPOSITORY}/nginx:${COTAI_TAG}"]
  labels = {
    "org.opencontainers.image.title"   = "CotAi nginx"
    "org.opencontainers.image.version" = COTAI_VERSION
  }
  attest = ["type=provenance,disabled=true", "type=sbom,disabled=true"]
  output = ["type=docker"]
}
