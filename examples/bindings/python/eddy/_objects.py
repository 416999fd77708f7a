"""Python objects inside of C: a number each, which C carries as a pointer, and `free` as its destructor."""

import itertools

from ._declarations import eddy_free_fn

objects = {}
_numbers = itertools.count(1)  # both are atomic under Python's lock: worker threads give too


def give(thing):
    number = next(_numbers)
    objects[number] = thing
    return number


def look(number):
    return objects[number] if number else None


def take(number):
    return objects.pop(number) if number else None


@eddy_free_fn
def free(number):
    objects.pop(number, None)
