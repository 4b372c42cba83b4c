#!/bin/sh
# Runs /docker-entrypoint.d, fills /etc/nginx/templates with the environment, and starts Nginx as the official image does.
# shellcheck disable=SC1090 # the scripts are the user's
set -eu

templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
filter=${NGINX_ENVSUBST_FILTER:-}

case ${1-} in
    nginx | nginx-debug)
        for script in /docker-entrypoint.d/*; do
            case $script in
                *.envsh) [ ! -x "$script" ] || . "$script" ;;
                *.sh) [ ! -x "$script" ] || "$script" ;;
            esac
        done

        # Only variables that exist are replaced: Nginx has variables of its own that look the same.
        names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' | grep -E "$filter" | sed 's/.*/${&}/' | tr '\n' ' ')
        [ ! -d "$templates" ] || find "$templates" -follow -type f -name "*$suffix" | while read -r template; do
            target=$output/${template#"$templates"/}
            target=${target%"$suffix"}
            mkdir -p "$(dirname "$target")"
            envsubst "$names" <"$template" >"$target"
        done
        ;;
esac

exec "$@"
