"""Writes the manual page, in mdoc(7), from what the program says of its own commands and options.

    hubspot-sync --experimental-dump-help | python3 manual.py VERSION

The rest of the page, which no option tells, stands here: files, exit codes, where to read on.
"""

import json
import os
import re
import sys
import time


def text(words):
    """Words that mdoc must not take for macros or escapes."""
    words = " ".join(words.split()).replace("\\", "\\e").replace("-", "\\-")
    words = re.sub(r"([.:]) (?=[A-Z])", r"\1\n", words)  # mdoc wants each sentence on a line of its own
    return "\\&" + words if words[:1] in ".'" else words


def quoted(word):
    """One argument of a macro."""
    return '"' + text(word).replace("\n", " ").replace('"', "\\(dq") + '"'


def name(argument):
    """`Fl -name Ar value` of an option, `Ar name` of an argument."""
    if argument["kind"] == "positional":
        return "Ar " + quoted(argument["valueName"])
    preferred = argument["preferredName"]
    flag = "Fl " + quoted(("" if preferred["kind"] == "short" else "-") + preferred["name"])
    return flag if argument["kind"] == "flag" else flag + " Ar " + quoted(argument["valueName"])


def is_own(argument):
    """Not what every command has, and is told once."""
    names = [name["name"] for name in argument.get("names") or []]
    return argument["shouldDisplay"] and not {"help", "version"} & set(names)


def commands(command, path=()):
    """The commands that do something, with their paths."""
    path = (*path, command["commandName"])
    subcommands = [child for child in command.get("subcommands", []) if child["commandName"] != "help"]
    if not subcommands:
        yield path[1:], command
    for child in subcommands:
        yield from commands(child, path)


def discussion(words):
    """Paragraphs, and what stands below `Examples:` as it is."""
    words, _, examples = words.partition("Examples:\n")
    lines = []
    for paragraph in filter(None, (part.strip() for part in words.split("\n\n"))):
        lines += [".Pp", text(paragraph)]
    if examples:
        lines += [".Pp", "Examples:", ".Bd -literal -offset indent"]
        lines += [example.strip().replace("\\", "\\e").replace("-", "\\-") for example in examples.strip().split("\n")]
        lines.append(".Ed")
    return lines


def main():
    version = sys.argv[1]
    program = json.load(sys.stdin)["command"]
    found = list(commands(program))
    lines = [
        '.\\" Made by deploy/debian/manual.py.',
        time.strftime(".Dd %B %d, %Y", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))),
        ".Dt HUBSPOT-SYNC 1",
        f".Os {quoted('hubspot-sync ' + version)}",
        ".Sh NAME",
        ".Nm hubspot-sync",
        f".Nd {text(program['abstract'].rstrip('.'))}",
        ".Sh SYNOPSIS",
    ]
    for path, command in found:
        lines += [".Nm", f".Cm {' '.join(map(quoted, path))}"]
        for argument in filter(is_own, command.get("arguments", [])):
            lines.append(f".Op {name(argument)}" if argument["isOptional"] else f".{name(argument)}")
    lines += [".Sh DESCRIPTION", text(program.get("discussion") or ""), ".Pp", "Without a command it does what", ".Cm serve", "does."]
    lines += [".Pp", "Every command takes", ".Fl \\-help ;", ".Fl \\-version", "prints the version."]
    for path, command in found:
        lines += [f".Ss {' '.join(path)}", text(command["abstract"])]
        if command.get("discussion"):
            lines += discussion(command["discussion"])
        arguments = list(filter(is_own, command.get("arguments", [])))
        if arguments:
            lines.append(".Bl -tag -width indent")
            for argument in arguments:
                words = argument.get("abstract", "")
                if argument.get("defaultValue"):
                    words += f" Default: {argument['defaultValue']}."
                lines += [f".It {name(argument)}", text(words)]
            lines.append(".El")
    lines += """.Sh ENVIRONMENT
All settings are environment variables;
.Pa /usr/share/doc/hubspot-sync/README.md
has the list.
.Sh FILES
.Bl -tag -width indent
.It Pa /etc/hubspot-sync/hubspot-sync.env
Settings of the service that systemd runs.
.It Pa /etc/hubspot-sync/secrets/
Its secrets, one file each:
.Pa hubspot_access_token ,
.Pa hubspot_client_secret ,
.Pa mongodb_uri ,
.Pa admin_api_key ,
.Pa session_secret .
.El
.Sh EXIT STATUS
0 when it did what it was asked, 1 when it could not, 64 for a wrong command line.
.Cm serve
ends with 0 after SIGTERM or SIGINT.
.Sh SEE ALSO
.Pa /usr/share/doc/hubspot-sync/operating.md""".split("\n")
    print("\n".join(lines))


main()
