# Every offline image, in one build:
#
#   ./make-base && docker buildx bake            from this folder
#   OFFLINE_DIR=docker/offline docker buildx bake -f docker/offline/docker-bake.hcl postgres redis

variable "OFFLINE_DIR" {
  default = "."
}

group "default" {
  targets = ["python", "postgres", "redis", "mongodb", "ollama", "nginx", "s3", "monitoring", "exporters", "admin"]
}

target "_image" {
  contexts = {
    common = "${OFFLINE_DIR}/common"
  }
  labels = {
    "cotai.offline" = "true"
  }
}

target "python" {
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/python"
  tags     = ["cotai-offline/python:3.13"]
}

target "postgres" {
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/postgres"
  tags     = ["cotai-offline/postgres:17"]
}

target "redis" {
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/redis"
  tags     = ["cotai-offline/redis:8"]
}

target "mongodb" {
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/mongodb"
  contexts = {
    "cotai-offline/python:3.13" = "target:python"
  }
  tags = ["cotai-offline/mongodb:evaluation"]
}

target "ollama" {
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/ollama"
  contexts = {
    "cotai-offline/python:3.13" = "target:python"
  }
  tags = ["cotai-offline/ollama:smollm2"]
}

target "nginx" {
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/nginx"
  tags     = ["cotai-offline/nginx:1.26"]
}

target "s3" {
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/s3"
  contexts = {
    "cotai-offline/python:3.13" = "target:python"
  }
  tags = ["cotai-offline/s3:4.48"]
}

target "monitoring" {
  name     = image.name
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/monitoring"
  target   = image.name
  tags     = ["cotai-offline/${image.name}:${image.version}"]
  matrix = {
    image = [
      { name = "prometheus", version = "2.53" },
      { name = "alertmanager", version = "0.28" },
      { name = "node-exporter", version = "1.9" },
      { name = "postgres-exporter", version = "0.17" },
      { name = "redis-exporter", version = "1.69" },
      { name = "nginx-exporter", version = "1.4" },
      { name = "blackbox-exporter", version = "0.26" },
    ]
  }
}

target "exporters" {
  name     = image.name
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/exporters"
  target   = image.name
  tags     = ["cotai-offline/${image.name}:${image.version}"]
  contexts = {
    "cotai-offline/python:3.13" = "target:python"
  }
  matrix = {
    image = [
      { name = "mongodb-exporter", version = "evaluation" },
      { name = "celery-exporter", version = "1" },
    ]
  }
}

target "admin" {
  name     = image.name
  inherits = ["_image"]
  context  = "${OFFLINE_DIR}/admin"
  target   = image.name
  tags     = ["cotai-offline/${image.name}:${image.version}"]
  contexts = {
    "cotai-offline/python:3.13" = "target:python"
  }
  matrix = {
    image = [
      { name = "adminer", version = "5.2" },
      { name = "mongo-express", version = "1.0.0" },
      { name = "redis-commander", version = "0.9.0" },
    ]
  }
}
