#!/usr/bin/env python3
"""Compares verdicts with those of Istio's CRD schemas and validation webhook, recorded in admission.json.

    admission.py --command 'sluice check {file}'      exit status 0 = accepted, 1 = denied, anything else = no verdict

Verdicts on purpose different are listed in intended.json as "admission/<name>". Exit status 1 when another differs.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))

#: Kinds that `make test` asks about; the others come with their features.
KINDS = "Gateway,VirtualService,DestinationRule,ServiceEntry"
VERDICTS = {0: "accept", 1: "deny"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", required=True, help="{file} stands for the file with the object")
    parser.add_argument("--only", default="", metavar="REGEX", help="verdicts by name")
    parser.add_argument("--kinds", default=KINDS, metavar="KIND,…", help=f"kinds of objects, or `all` [{KINDS}]")
    parser.add_argument("--intended", default=os.path.join(HERE, "intended.json"), metavar="FILE")
    return parser.parse_args()


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def ask(command, verdict, directory):
    """(accept, deny or the exit status that is neither, output)"""
    path = os.path.join(directory, verdict["name"].replace("/", "_") + ".yaml")
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump(verdict["object"], file, sort_keys=False)
    words = [word.replace("{file}", path) for word in shlex.split(command)]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    return VERDICTS.get(run.returncode, f"exit status {run.returncode}"), run.stdout + run.stderr


def main():
    options = arguments()
    kinds = options.kinds.split(",")
    intended = read(options.intended)
    count = {"same": 0, "different": 0, "intended": 0, "other kinds": 0}
    with tempfile.TemporaryDirectory(prefix="admission-") as directory:
        for verdict in read(os.path.join(HERE, "admission.json")):
            if not re.search(options.only, verdict["name"]):
                continue
            if options.kinds != "all" and verdict["object"]["kind"] not in kinds:
                count["other kinds"] += 1
                continue
            got, output = ask(options.command, verdict, directory)
            if got == verdict["verdict"]:
                count["same"] += 1
            elif f"admission/{verdict['name']}" in intended:
                count["intended"] += 1
            else:
                count["different"] += 1
                because = f": {verdict['message'][:160]}" if verdict["message"] else ""
                print(f"different  {verdict['name']}: Istio says {verdict['verdict']}{because}; got {got}")
                for line in output.strip().splitlines()[:4]:
                    print(f"    {line[:160]}")
    print("admission: " + ", ".join(f"{number} {what}" for what, number in count.items()))
    return 1 if count["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
