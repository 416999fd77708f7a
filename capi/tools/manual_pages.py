"""The pages of the manual: which declarations of eddy.h are told of together, and their text in pieces.

A page has what no blank line separates in the header, and the types above it that belong to it.
"""

from __future__ import annotations

import dataclasses
import re

import eddy_header as header

NAME = re.compile(r"\b(?:eddy|EDDY)_\w+\b")


@dataclasses.dataclass
class Page:
    name: str
    section: str
    blocks: list
    general: list  # comments that are for the whole section

    def items(self):
        return [item for block in self.blocks for item in block.items]

    def names(self):
        """What it can be looked up by: functions, callbacks, structs, macros."""
        kinds = (header.Function, header.Callback, header.Struct, header.Macro, header.Opaque)
        return list(dict.fromkeys(item.name for item in self.items() if isinstance(item, kinds)))

    def declarations(self):
        return [item for item in self.items() if not isinstance(item, header.Comment)]


def pages_of(h):
    pages, pending, general, section = [], [], [], None

    def flush():
        if pending:
            items = [item for block in pending for item in block.items]
            first = next((i.name for i in items if getattr(i, "name", "")), None) or next(
                iter(items[-1].constants)  # an enum alone
            )
            pages.append(Page(first, section, list(pending), general))
            pending.clear()

    for block in h.blocks:
        if block.section != section:
            flush()
            section, general = block.section, []
        if all(isinstance(item, header.Comment) for item in block.items):
            general += block.items
            continue
        pending.append(block)
        functions = block.of(header.Function)
        if functions:
            pages.append(Page(functions[0].name, section, list(pending), general))
            pending.clear()
    flush()
    return pages


def parts(block):
    """Comments with the names that they are about: [(names, text)]."""
    found = []
    for item in block.items:
        if isinstance(item, header.Comment):
            found.append(([], item.text))
        elif found and getattr(item, "name", ""):
            found[-1][0].append(item.name)
    return found


def declaration(item):
    """As the header has it, without what only compilers need."""
    source = item.source
    if isinstance(item, header.Function):
        source = re.sub(r"\s*\bEDDY_(API|NOEXCEPT)\b", "", source).strip()
        source = re.sub(r"[ \t]+(?=[^\n]*\()", " ", source)
    lines = source.split("\n")
    shift = len(lines[-1]) - len(lines[-1].lstrip()) if len(lines) > 1 and lines[-1].strip().startswith("}") else 0
    text = "\n".join(line[shift:] if line[:shift].isspace() else line for line in lines)
    if isinstance(item, header.Function) and len(text) > 78 and "/*" not in text:
        head, inside, tail = re.fullmatch(r"([^(]*\()(.*)(\).*)", text, re.S).groups()
        text = head + "\n    " + ",\n    ".join(p.strip() for p in inside.split(",")) + tail
    return text


@dataclasses.dataclass
class Piece:
    kind: str  # "text", "item" (of a list), "literal"
    text: str


def pieces(text):
    """The paragraphs of a comment."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        current = None
        for line in paragraph.split("\n"):
            stripped = line.strip()
            if stripped.startswith("- "):
                current = Piece("item", stripped[2:])
                found.append(current)
            elif len(line) - len(line.lstrip()) >= 3 and (current is None or current.kind != "item"):
                if current is None or current.kind != "literal":
                    current = Piece("literal", "")
                    found.append(current)
                current.text += line.rstrip() + "\n"
            elif current is None or current.kind == "literal":
                current = Piece("text", stripped)
                found.append(current)
            else:
                current.text += " " + stripped
    return found


def rules(introduction):
    """The comment on top of the header: (text before, [(title, text)])."""
    before, found = [], []
    for line in introduction.split("\n"):
        title, text = line[:17].strip(), line[17:]
        if re.fullmatch(r"[A-Z][A-Z+ ]*", title) and line.startswith(" "):
            if found and found[-1][2]:  # a title of two lines
                found[-1][0] += " " + title
                found[-1][1].append(text)
                found[-1][2] = False
            else:
                found.append([title, [text], True])
        elif found:
            found[-1][1].append(text)
            found[-1][2] = False
        else:
            before.append(line)
    return "\n".join(before).strip(), [(title, "\n".join(lines).strip("\n")) for title, lines, _ in found]
