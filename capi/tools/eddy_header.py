"""Reads a C header written as capi/eddy.h is: its declarations, its comments, and which belongs to which.

The header is its own machine-readable source. The reader is strict: whatever it does not understand (a type nobody
declared, a field that is an array, a callback that has no name) is an error with its line, so that nothing of the header
can be missing from what is made of it. Whether it understood rightly is for a C compiler to say: `describe_api --check`.

    header = eddy_header.read("capi/eddy.h")
    for block in header.blocks:         # what no blank line separates
        for item in block.items:        # Comment, Function, Callback, Struct, Enum, Opaque, Macro
            ...
"""

from __future__ import annotations

import dataclasses
import pathlib
import re

SCALARS = ("void", "char", "int", "size_t", "intptr_t", "int32_t", "uint32_t", "int64_t", "uint64_t")
MARKS = {"EDDY_GIVE": "give", "EDDY_TAKE": "take", "EDDY_NULLABLE": "nullable", "EDDY_ANY_THREAD": "any_thread"}


class Mistake(Exception):
    """Something in the header that this reader does not understand."""


@dataclasses.dataclass
class Comment:
    text: str  # its lines, without the stars


@dataclasses.dataclass
class Parameter:
    name: str
    type: str  # "const eddy_op *"
    take: bool = False
    nullable: bool = False


@dataclasses.dataclass
class Function:
    name: str
    returns: str
    parameters: list
    give: bool
    nullable: bool  # the result
    any_thread: bool
    source: str


@dataclasses.dataclass
class Callback:
    name: str
    returns: str
    parameters: list
    source: str


@dataclasses.dataclass
class Field:
    name: str
    type: str | None  # None: a function pointer, which is `callback`
    callback: Callback | None = None


@dataclasses.dataclass
class Struct:
    name: str
    fields: list
    source: str


@dataclasses.dataclass
class Enum:
    constants: dict
    source: str
    name: str = ""


@dataclasses.dataclass
class Opaque:
    name: str
    source: str


@dataclasses.dataclass
class Macro:
    name: str
    parameters: list | None  # None: no parentheses
    value: int | None  # None: not a number
    source: str


@dataclasses.dataclass
class Block:
    section: str
    items: list

    def of(self, kind):
        return [item for item in self.items if isinstance(item, kind)]


@dataclasses.dataclass
class Header:
    introduction: str
    blocks: list

    def of(self, kind):
        return [item for block in self.blocks for item in block.of(kind)]

    def constants(self):
        """Enumerators and numeric macros, in their order."""
        found = {}
        for block in self.blocks:
            for item in block.items:
                if isinstance(item, Enum):
                    found.update(item.constants)
                elif isinstance(item, Macro) and item.value is not None:
                    found[item.name] = item.value
        return found


def without_comments(text):
    return re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def comment_text(raw):
    lines = [re.sub(r"^ ?\* ?", "", line.strip("\n").replace("\t", " ").lstrip() if i else line)
             for i, line in enumerate(raw[2:-2].split("\n"))]  # fmt: skip
    return "\n".join(line.rstrip() for line in lines).strip()


class _Reader:
    def __init__(self, text, name):
        self.text, self.name, self.at = text, name, 0
        self.code = without_comments(text)  # as long as the text
        self.section = ""
        self.types = set(SCALARS)
        self.known = {}  # constants so far
        self.blocks = []
        self.introduction = None
        self.depth = 0  # of #if

    def mistake(self, what):
        line = self.text.count("\n", 0, self.at) + 1
        return Mistake(f"{self.name}:{line}: {what}")

    # ---- pieces

    def read(self):
        block = []
        while self.at < len(self.text):
            space = re.compile(r"\s+").match(self.text, self.at)
            if space:
                if space.group().count("\n") > 1:
                    self.end_block(block)
                    block = []
                self.at = space.end()
                continue
            if self.text.startswith("/*", self.at):
                self.comment(block)
            elif self.text.startswith("#", self.at):
                self.directive(block)
            else:
                self.declaration(block)
        self.end_block(block)
        if self.depth != 0:
            raise self.mistake("an #if without #endif")
        return Header(self.introduction or "", self.blocks)

    def end_block(self, items):
        if items and self.section != "linkage":
            self.blocks.append(Block(self.section, items))

    def comment(self, block):
        end = self.text.find("*/", self.at)
        if end < 0:
            raise self.mistake("a comment without end")
        raw = self.text[self.at : end + 2]
        self.at = end + 2
        ruler = re.fullmatch(r"/\* -{3,} (.+?) \*/", raw)
        if ruler:
            self.end_block(block)
            block.clear()
            self.section = ruler.group(1)
        elif self.introduction is None:
            self.introduction = comment_text(raw)
        elif "clang-format" not in raw and raw != "/* Laid out by hand: */" and self.section:
            # Behind a declaration, on its line: part of what that looks like.
            before = self.text[: self.at - len(raw)]
            if block and not isinstance(block[-1], Comment) and before.rpartition("\n")[2].strip():
                block[-1].source += self.text[len(before.rstrip()) : self.at]
            else:
                block.append(Comment(comment_text(raw)))

    def directive(self, block):
        match = re.compile(r"#[ \t]*(\w+)((?:\\\n|/\*.*?\*/|[^\n])*)").match(self.text, self.at)
        kind, rest = match.groups()
        source = match.group()
        if kind in ("if", "ifdef", "ifndef"):
            self.depth += 1
        elif kind == "endif":
            self.depth -= 1
        elif kind == "define":
            self.macro(without_comments(rest), source, block)
        elif kind not in ("else", "elif", "include"):
            raise self.mistake(f"#{kind}, which the reader does not know")
        self.at = match.end()

    def macro(self, rest, source, block):
        name, parameters, value = re.match(r"\s*(\w+)(\([^)]*\))?(.*)", rest, re.S).groups()
        if name.endswith("_") or self.section in ("", "linkage"):
            return
        if parameters is None:
            number = self.number(value.replace("\\\n", " "))
            if number is None:
                raise self.mistake(f"{name} is no number that the reader can work out: {value.strip()}")
            self.known[name] = number
            block.append(Macro(name, None, number, source))
        else:
            block.append(Macro(name, [p.strip() for p in parameters[1:-1].split(",")], None, source))

    def number(self, text):
        unsigned = 32 if "EDDY_U32_" in text else 64 if "EDDY_U64_" in text else None
        text = re.sub(r"EDDY_U(32|64)_", "", text)
        text = re.sub(r"\bEDDY_\w+\b", lambda m: str(self.known.get(m.group(), "?")), text)
        text = re.sub(r"\b(0x[0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", text).strip()
        if not re.fullmatch(r"[-+|&~<>() 0-9a-fxA-F]+", text):
            return None
        value = eval(text, {"__builtins__": {}})  # digits and operators only
        return value % (1 << unsigned) if unsigned else value

    # ---- declarations

    def declaration(self, block):
        guard = re.compile(r"EDDY_(BEGIN|END)_DECLS\b").match(self.text, self.at)
        if guard:
            self.at = guard.end()
            return
        source = self.statement()
        code = " ".join(without_comments(source).split())[:-1].strip()
        item = (
            self.enum(code, source)
            or self.opaque(code, source)
            or self.callback_type(code, source)
            or self.struct(code, source)
            or self.function(code, source)
        )
        if item is None:
            raise self.mistake(f"a declaration that the reader does not understand: {code}")
        block.append(item)
        self.at += len(source)

    def statement(self):
        """Up to the semicolon outside of braces."""
        depth = 0
        for mark in re.compile(r"[{}();]").finditer(self.code, self.at):
            depth += (mark.group() in "{(") - (mark.group() in "})")
            if mark.group() == ";" and depth == 0:
                return self.text[self.at : mark.end()]
        raise self.mistake("a declaration without end")

    def enum(self, code, source):
        match = re.fullmatch(r"enum \{(.*)\}", code)
        if not match:
            return None
        constants = {}
        for part in match.group(1).split(","):
            if not part.strip():
                continue
            named = re.fullmatch(r"\s*(EDDY_[A-Z0-9_]+) = (.+?)\s*", re.sub(r"\s*=\s*", " = ", part))
            value = named and self.number(named.group(2))
            if value is None:
                raise self.mistake(f"an enumerator is NAME = number; this is: {part.strip()}")
            constants[named.group(1)] = self.known[named.group(1)] = value
        return Enum(constants, source)

    def opaque(self, code, source):
        match = re.fullmatch(r"typedef struct (\w+) (\w+)", code)
        if not match:
            return None
        if match.group(1) != match.group(2):
            raise self.mistake(f"a struct and its type have one name; this is: {code}")
        self.types.add(match.group(1))
        return Opaque(match.group(1), source)

    def callback_type(self, code, source):
        match = re.fullmatch(r"typedef (.+?)\(\*(\w+)\)\((.*)\)", code)
        if not match:
            return None
        self.types.add(match.group(2))
        return Callback(match.group(2), self.type_of(match.group(1)), self.parameters(match.group(3)), source)

    def struct(self, code, source):
        match = re.fullmatch(r"typedef struct (\w+) \{(.*)\} (\w+)", code)
        if not match:
            return None
        name, body, again = match.groups()
        if name != again:
            raise self.mistake(f"a struct and its type have one name; here are {name} and {again}")
        self.types.add(name)
        return Struct(name, [f for d in body.split(";") if d.strip() for f in self.fields(d.strip())], source)

    def fields(self, declaration):
        pointer = re.fullmatch(r"(.+?)\(\*(\w+)\)\((.*)\)", declaration)
        if pointer:
            returns, name, parameters = pointer.groups()
            return [Field(name, None, Callback(name, self.type_of(returns), self.parameters(parameters), declaration))]
        first, *others = [part.strip() for part in declaration.split(",")]
        kind, name = self.named(first)
        if others and "*" in declaration:
            raise self.mistake(f"several pointers in one declaration: {declaration}")
        return [Field(n, kind) for n in (name, *others)]

    def function(self, code, source):
        match = re.fullmatch(r"EDDY_API (.+?)\b(eddy_\w+)\((.*)\) EDDY_NOEXCEPT((?: EDDY_\w+)*)", code)
        if not match:
            return None
        returns, name, parameters, after = match.groups()
        returns, marks = self.marks(returns, ("give", "nullable"))
        rest, behind = self.marks(after, ("any_thread",))
        if rest:
            raise self.mistake(f"behind {name}(): {rest}")
        return Function(
            name,
            self.type_of(returns),
            self.parameters(parameters),
            "give" in marks,
            "nullable" in marks,
            "any_thread" in behind,
            source,
        )

    def marks(self, text, allowed):
        words, marks = [], set()
        for word in text.split():
            mark = MARKS.get(word)
            if mark is None:
                words.append(word)
            elif mark in allowed:
                marks.add(mark)
            else:
                raise self.mistake(f"{word} makes no sense here: {text}")
        return " ".join(words), marks

    def parameters(self, text):
        if text.strip() == "void":
            return []
        found = []
        for part in text.split(","):
            part, marks = self.marks(part, ("take", "nullable"))
            kind, name = self.named(part)
            found.append(Parameter(name, kind, "take" in marks, "nullable" in marks))
        return found

    def named(self, text):
        match = re.fullmatch(r"(.*[\s*])(\w+)", text)
        if not match:
            raise self.mistake(f"expected a type and a name, not: {text}")
        return self.type_of(match.group(1)), match.group(2)

    def type_of(self, text):
        """In one spelling: "const eddy_op *", "eddy_op *const *"."""
        words = re.findall(r"\w+|\*|\S", text)
        const = words[:1] == ["const"]
        base, *rest = words[const:] or [""]
        if base not in self.types or any(w not in ("*", "const") for w in rest):
            raise self.mistake(f"a type that the reader does not know: {text.strip()}")
        stars = "".join("*" if w == "*" else "const " for w in rest).strip()
        return ("const " if const else "") + base + (" " + stars if stars else "")


def parse(text, name="eddy.h"):
    return _Reader(text, name).read()


def read(path):
    return parse(pathlib.Path(path).read_text(), pathlib.Path(path).name)
