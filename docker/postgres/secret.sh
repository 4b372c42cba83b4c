# shellcheck shell=sh
# Sourced. secret NAME prints what the file NAME_FILE holds, else the variable NAME: production has files, development
# the environment.
secret() {
    eval "file=\${$1_FILE:-}"
    if [ -n "$file" ]; then
        cat "$file"
    else
        eval "printf '%s\n' \"\${$1:-}\""
    fi
}

# login prints the role whose password APP_PASSWORD is.
login() {
    cat /run/secrets/POSTGRES_LOGIN 2>/dev/null || printf '%s\n' "$APP_USER"
}
