"""What scanners print, as recorded from real runs and cut down: for the tests of reading them."""

from __future__ import annotations

import json

HADOLINT = json.dumps(
    [
        {
            "code": "DL3002",
            "column": 1,
            "file": "Dockerfile",
            "level": "warning",
            "line": 3,
            "message": "Last USER should not be root",
        },
        {"code": "SC2086", "column": 1, "file": "Dockerfile", "level": "info", "line": 5, "message": "Double quote it"},
        {"code": "DL3020", "column": 1, "file": "Dockerfile", "level": "error", "line": 2, "message": "Use COPY"},
    ]
)

COMPOSE_LINT = json.dumps(
    {
        "version": "2",
        "findings": [
            {
                "file": "compose.yaml",
                "line": 4,
                "rule_id": "CL-0002",
                "severity": "critical",
                "service": "web",
                "message": "Service is privileged.",
                "fix": "Remove privileged.\nMore words.",
                "references": ["CIS 5.5", "https://example.org/rule"],
                "suppressed": False,
            },
            {
                "file": "compose.yaml",
                "line": 9,
                "rule_id": "CL-0001",
                "severity": "critical",
                "service": "cadvisor",
                "message": "Service mounts the socket.",
                "fix": "Do not.",
                "references": [],
                "suppressed": True,
            },
        ],
    }
)

SCHEMA = json.dumps(
    {
        "status": "fail",
        "errors": [{"filename": "compose.yaml", "path": "$.services.a", "message": "'imag' was unexpected"}],
        "parse_errors": [{"filename": "broken.yaml", "message": "Failed to parse broken.yaml"}],
    }
)

ZIZMOR = json.dumps(
    [
        {
            "ident": "template-injection",
            "desc": "code injection via template expansion",
            "url": "https://docs.zizmor.sh/audits/#template-injection",
            "determinations": {"confidence": "High", "severity": "High", "persona": "Regular"},
            "locations": [
                {
                    "symbolic": {
                        "key": {"Local": {"verbatim_path": "./.github/workflows/ci.yml"}},
                        "annotation": "this step",
                        "kind": "Related",
                    },
                    "concrete": {"location": {"start_point": {"row": 1, "column": 0}}},
                },
                {
                    "symbolic": {
                        "key": {"Local": {"verbatim_path": "./.github/workflows/ci.yml"}},
                        "annotation": "may expand into attacker-controllable code",
                        "kind": "Primary",
                    },
                    "concrete": {"location": {"start_point": {"row": 6, "column": 8}}},
                },
            ],
            "ignored": False,
            "fixes": [],
        },
        {"ident": "artipacked", "ignored": True},
    ]
)

JACTIONLINT = json.dumps(
    [
        {
            "message": "property is not defined",
            "filepath": ".github/workflows/ci.yml",
            "line": 8,
            "id": "expression",
            "severity": "error",
            "doc_url": "https://jactionlint.jdx.dev/rules#expression",
        }
    ]
)

GIXY = json.dumps(
    [
        {
            "file": "/etc/nginx/snippets/proxy.conf",
            "line": 6,
            "path": "nginx.dump.conf",
            "plugin": "http_splitting",
            "reason": 'At least variable "$uri" can contain "\\n"',
            "reference": "https://gixy.getpagespeed.com/checks/http-splitting/",
            "severity": "HIGH",
            "summary": "Possible HTTP-Splitting vulnerability.",
            "fixes": [{"title": "Use $request_uri"}],
        }
    ]
)

GITLEAKS = json.dumps(
    [
        {
            "RuleID": "aws-access-token",
            "Description": "Identified a pattern that may indicate AWS credentials.",
            "StartLine": 1,
            "Match": "REDACTED",
            "Secret": "REDACTED",
            "File": "config.py",
        }
    ]
)

PIP_AUDIT = json.dumps(
    {
        "dependencies": [
            {
                "name": "jinja2",
                "version": "2.4.1",
                "vulns": [
                    {"id": "PYSEC-2014-8", "fix_versions": ["2.7.2"], "aliases": [], "description": "Temporary files."},
                    {"id": "PYSEC-2030-1", "fix_versions": [], "aliases": [], "description": "Nobody has mended it."},
                ],
            },
            {"name": "idna", "version": "3.20", "vulns": []},
        ],
        "fixes": [],
    }
)

TRIVY_CONFIG = json.dumps(
    {
        "ArtifactName": ".",
        "ArtifactType": "filesystem",
        "Results": [
            {
                "Target": "docker/Dockerfile",
                "Class": "config",
                "Type": "dockerfile",
                "MisconfSummary": {"Successes": 26, "Failures": 1},
                "Misconfigurations": [
                    {
                        "ID": "DS002",
                        "Title": "Image user should not be 'root'",
                        "Message": "Specify at least 1 USER command",
                        "Resolution": "Add 'USER <non root user name>' line",
                        "Severity": "HIGH",
                        "PrimaryURL": "https://avd.aquasec.com/misconfig/ds002",
                        "CauseMetadata": {"StartLine": 7},
                    }
                ],
            },
            {"Target": "nginx/Dockerfile", "Class": "config", "Type": "dockerfile"},
        ],
    }
)

TRIVY_IMAGE = json.dumps(
    {
        "ArtifactName": "cotai/production:1",
        "ArtifactType": "container_image",
        "Metadata": {"ImageID": "sha256:1"},
        "Results": [
            {
                "Target": "cotai/production:1 (debian 13.8)",
                "Class": "os-pkgs",
                "Vulnerabilities": [
                    {
                        "VulnerabilityID": "CVE-2026-1",
                        "PkgName": "libssl3",
                        "InstalledVersion": "3.5.0",
                        "FixedVersion": "3.5.1",
                        "Severity": "CRITICAL",
                        "Title": "A hole",
                        "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2026-1",
                    },
                    {
                        "VulnerabilityID": "CVE-2026-2",
                        "PkgName": "perl-base",
                        "InstalledVersion": "5.40",
                        "Severity": "UNKNOWN",
                        "Description": "Another",
                    },
                ],
            },
            {
                "Target": "cotai/production:1",
                "Class": "config",
                "Misconfigurations": [
                    {
                        "ID": "DS026",
                        "Title": "No HEALTHCHECK defined",
                        "Message": "Add HEALTHCHECK",
                        "Resolution": "Add HEALTHCHECK",
                        "Severity": "LOW",
                    }
                ],
            },
            {
                "Target": "/app/server.key",
                "Class": "secret",
                "Secrets": [
                    {
                        "RuleID": "private-key",
                        "Severity": "HIGH",
                        "Title": "Asymmetric Private Key",
                        "StartLine": 1,
                        "Match": "-----BEGIN*****",
                    }
                ],
            },
        ],
    }
)
