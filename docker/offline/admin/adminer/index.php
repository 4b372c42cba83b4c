<?php
// Adminer with the official image's ADMINER_DEFAULT_SERVER. Its login form starts with PostgreSQL, the one driver here.
$server = getenv('ADMINER_DEFAULT_SERVER');
if (!$_GET && $server) {
    header('Location: /?pgsql=' . rawurlencode($server));
    exit;
}

function adminer_object()
{
    include_once '/usr/share/adminer/plugins/version-noverify.php';
    return new Adminer\Plugins([new AdminerVersionNoverify()]); // does not ask the Internet for a newer version
}

include '/usr/share/adminer/adminer.php';
