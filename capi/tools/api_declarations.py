"""Declarations of the C interface for other languages, made of examples/bindings/eddy-api.json.

    files(description) -> {path: text}

eddy.cdef is plain C as cffi (`ffi.cdef`) and LuaJIT (`ffi.cdef`) read it: no preprocessor, no attributes.
"""

NOTE = "Made from capi/eddy.h by capi/tools/describe_api: not to be edited."
CDEF = "examples/bindings/eddy.cdef"
CTYPES = "examples/bindings/python/eddy/_declarations.py"


def files(api):
    return {
        CDEF: cdef(api),
        CTYPES: ctypes_module(api),
    }


# ---- C without a preprocessor


def c_signature(before, name, parameters):
    inside = ", ".join(c_named(p["type"], p["name"]) for p in parameters)
    return f"{c_named(before, name)}({inside or 'void'});"


def c_named(kind, name):
    return f"{kind}{'' if kind.endswith('*') else ' '}{name}"


def cdef(api):
    out = [f"/* {NOTE} */", "", "enum {"]
    # An enumerator is an int; what is larger has its number in eddy-api.json.
    ints = [c for c in api["constants"] if -(2**31) <= c["value"] < 2**31]
    out += [f"    {c['name']} = {c['value']}," for c in ints[:-1]]
    out += [f"    {ints[-1]['name']} = {ints[-1]['value']}", "};", ""]
    # Names first: callbacks and structs refer to each other.
    out += [f"typedef struct {o['name']} {o['name']};" for o in api["opaque"] + api["structs"]] + [""]
    out += [c_signature(f"typedef {c['returns']}", f"(*{c['name']})", c["parameters"]) for c in api["callbacks"]]
    for s in api["structs"]:
        out += ["", f"struct {s['name']} {{"]
        for f in s["fields"]:
            c = f.get("callback")
            out.append("    " + (c_signature(c["returns"], f"(*{f['name']})", c["parameters"]) if c else c_named(f["type"], f["name"]) + ";"))
        out.append("};")
    out.append("")
    out += [c_signature(f["returns"], f["name"], f["parameters"]) for f in api["functions"]]
    return "\n".join(out) + "\n"


# ---- Python's ctypes

SCALARS = {
    "void": "None",
    "int": "c_int",
    "size_t": "c_size_t",
    "intptr_t": "c_ssize_t",
    "int32_t": "c_int32",
    "uint32_t": "c_uint32",
    "int64_t": "c_int64",
    "uint64_t": "c_uint64",
    "const char *": "c_char_p",
}


def ctypes_type(kind, api):
    """Objects are plain pointers: numbers, or None."""
    if kind in SCALARS:
        return SCALARS[kind]
    if kind in (c["name"] for c in api["callbacks"]):
        return kind
    stars, base = kind.count("*"), kind.replace("const", "").replace("*", "").strip()
    if stars == 1:
        return f"POINTER({base})" if base in (s["name"] for s in api["structs"]) else "c_void_p"
    if stars == 2:
        return "POINTER(c_void_p)"
    raise ValueError(f"no type of ctypes for {kind}")


def ctypes_list(returns, parameters, api):
    return ", ".join([ctypes_type(returns, api), *(ctypes_type(p["type"], api) for p in parameters)])


def ctypes_module(api):
    out = [
        f'"""{NOTE}"""',
        "",
        "from ctypes import CFUNCTYPE, POINTER, Structure",
        "from ctypes import c_char_p, c_int, c_int32, c_int64, c_size_t, c_ssize_t, c_uint32, c_uint64, c_void_p",
        "",
    ]
    out += [f"{c['name']} = {c['value']}" for c in api["constants"]] + [""]
    # The classes first, their fields last: callbacks and structs refer to each other.
    for s in api["structs"]:
        out += ["", f"class {s['name']}(Structure):", "    pass", ""]
    out.append("")
    out += [f"{c['name']} = CFUNCTYPE({ctypes_list(c['returns'], c['parameters'], api)})" for c in api["callbacks"]]
    for s in api["structs"]:
        out += ["", f"{s['name']}._fields_ = ["]
        for f in s["fields"]:
            c = f.get("callback")
            kind = f"CFUNCTYPE({ctypes_list(c['returns'], c['parameters'], api)})" if c else ctypes_type(f["type"], api)
            out.append(f'    ("{f["name"]}", {kind}),')
        out.append("]")
    out += ["", "FUNCTIONS = ("]
    for f in api["functions"]:
        out.append(f'    ("{f["name"]}", {ctypes_list(f["returns"], f["parameters"], api)}),')
    out += [
        ")",
        "",
        "",
        "def declare(library):",
        '    """What each function takes and gives; ctypes would guess int. One that an older library lacks fails when used."""',
        "    for name, result, *arguments in FUNCTIONS:",
        "        if function := getattr(library, name, None):",
        "            function.restype, function.argtypes = result, arguments",
        "    return library",
    ]
    return "\n".join(out) + "\n"
