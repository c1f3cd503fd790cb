"""Modifications judged by hand: (changes, text, whether it asks for just these changes)."""

from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.pairs.difference import Change

CARS = Group("2", "car", ("red",), "left")
PLANE = Group("1", "airplane", ("small",), "top left")
HANGAR = Group("1", "hangar", ("white",), "center")
TREES = Group("many", "tree")
BOATS = Group("3", "boat", (), "bottom right")
POND = Group("1", "pond", ("round",), "bottom")
REFERENCE = GroupGraph("airport", (CARS, PLANE, HANGAR, TREES, BOATS), ((0, "next to", 2),))
OTHERS = GroupGraph("harbor", (POND, Group("4", "building", ("large", "blue"), "top")), ((0, "left of", 1),))

REMOVE = (Change("remove", CARS),)
REMOVE_HANGAR = (Change("remove", HANGAR),)
ADD = (Change("add", None, POND),)
ADD_MORE = (Change("add", None, Group("4", "building", ("large", "blue"), "top")),)
COUNT = (Change("count", CARS, Group("3", "car", ("red",), "left")),)
FEWER = (Change("count", TREES, Group("few", "tree")),)
MOVE = (Change("move", PLANE, Group("1", "airplane", ("small",), "top right")),)
RESIZE = (Change("resize", PLANE, Group("1", "airplane", ("large",), "top left")),)
RECOLOUR = (Change("recolour", CARS, Group("2", "car", ("blue",), "left")),)
GROW = (Change("resize", HANGAR, Group("1", "hangar", ("white", "large"), "center")),)
FADE = (Change("recolour", HANGAR, Group("1", "hangar", (), "center")),)
FREE = (Change("free", CARS, Group("4", "car", ("red",), "top")),)
TOUCH = (Change("relation", relation=("car", "next to", "hangar"), ends=(CARS, HANGAR)),)
PART = (Change("relation", relation=("car", "next to", "hangar"), added=False, ends=(CARS, HANGAR)),)
TWO = (*MOVE, *REMOVE_HANGAR)
SWAP = (*REMOVE, *ADD)

CASES: tuple[tuple[tuple[Change, ...], str, bool], ...] = (
    # removed
    (REMOVE, "remove the two red cars at the left", True),
    (REMOVE, "Please take the two red cars at the left away.", True),
    (REMOVE, "Get rid of the 2 red cars on the left.", True),
    (REMOVE, "The same image but without the two red cars on the left side", True),
    (REMOVE, "I would like the two red cars at the left to be gone", True),
    (REMOVE, "The two red automobiles on the left should be removed.", True),
    (REMOVE, "I want to see no red cars at the left", False),  # how many there are is not said
    (REMOVE, "delete both red cars at the left", False),  # "both" is no number of the reader; strict
    (REMOVE, "Could you erase the two red cars on the left?", True),
    (REMOVE, "keep the two red cars at the left and remove everything else", False),
    (REMOVE, "remove the two red cars at the left and keep everything else as it is", True),
    (REMOVE, "add two red cars at the left", False),
    (REMOVE, "The same but with two red cars at the left", False),
    (REMOVE, "remove the two cars at the left", False),
    (REMOVE, "remove the two red cars", False),
    (REMOVE, "remove the red cars at the left", False),
    (REMOVE, "remove the three red cars at the left", False),
    (REMOVE, "remove the two red cars at the right", False),
    (REMOVE, "remove the two blue cars at the left", False),
    (REMOVE, "remove the two red cars at the left and the hangar", False),
    (REMOVE, "remove the white hangar at the center", False),
    (REMOVE, "remove the two red cars at the left and add a helipad", False),
    (REMOVE, "Difference: remove: the two red cars at the left Style: command", False),
    (
        REMOVE,
        "An airport with one white hangar at the center, one small airplane at the top left and many trees.",
        False,
    ),
    (REMOVE_HANGAR, "Remove the white hangar at the center.", True),
    (REMOVE_HANGAR, "there should be no white hangar at the center", True),
    (REMOVE_HANGAR, "like this one, but without the white hangar in the middle", True),
    (REMOVE_HANGAR, "add one white hangar at the center", False),
    # added
    (ADD, "add one round pond at the bottom", True),
    (ADD, "Add a round pond at the bottom, please.", True),
    (ADD, "I would like one round pond to be added at the bottom", True),
    (ADD, "the same but with a round pond at the bottom", True),
    (ADD, "There should also be a round pond at the bottom.", True),
    (ADD, "put a round pond at the bottom", True),
    (ADD, "Remove the round pond at the bottom", False),
    (ADD, "the same but without one round pond at the bottom", False),
    (ADD, "add two round ponds at the bottom", False),
    (ADD, "add a pond at the bottom", False),
    (ADD, "add a round pond", False),
    (ADD, "add a round pond at the top", False),
    (ADD, "add a round pond next to the hangar at the bottom", False),
    (ADD, "There is a round pond at the bottom of the airport.", False),
    (ADD, "An airport scene with two red cars at the left and one round pond at the bottom.", False),
    (ADD, "An aerial view with one round pond at the bottom", False),
    (ADD, "With one round pond at the bottom", True),
    (ADD_MORE, "Add four large blue buildings at the top", True),
    (ADD_MORE, "I'd like to see four large blue buildings at the top as well", True),
    (ADD_MORE, "Add large blue buildings at the top", False),
    # counted
    (COUNT, "change the two red cars at the left to three", True),
    (COUNT, "I would like three red cars at the left instead of two", True),
    (COUNT, "the same but with three cars instead of two", True),
    (COUNT, "There should be three red cars at the left, not two.", True),
    (COUNT, "increase the number of red cars at the left from two to three", True),
    (COUNT, "change the three red cars at the left to two", False),
    (COUNT, "I would like two red cars at the left instead of three", False),
    (COUNT, "decrease the number of red cars at the left from three to two", False),
    (COUNT, "the same but with four cars instead of two", False),
    (COUNT, "add three red cars at the left", False),
    (COUNT, "change the number of red cars at the left", False),
    (COUNT, "three red cars are at the left", False),
    (FEWER, "the same but with few trees instead of many", True),
    (FEWER, "I would like a few trees instead of many", True),
    (FEWER, "the same but with many trees instead of few", False),
    # moved
    (MOVE, "move the small airplane from the top left to the top right", True),
    (MOVE, "let the small airplane be at the top right, not at the top left", True),
    (MOVE, "Move the airplane to the top right corner.", True),
    (MOVE, "I would like the small airplane to be at the top right rather than at the top left", True),
    (MOVE, "The small plane should be in the upper right instead of the upper left", True),
    (MOVE, "the same but with the small airplane at the top right instead of at the top left", True),
    (MOVE, "the airplane should go from the upper left corner to the upper right corner", True),
    (MOVE, "move the small airplane from the top right to the top left", False),
    (MOVE, "let the small airplane be at the top left, not at the top right", False),
    (MOVE, "move the small airplane to the bottom right", False),
    (MOVE, "move the large airplane from the top left to the top right", False),
    (MOVE, "move the small airplane", False),
    (MOVE, "The small airplane is at the top right.", False),
    # resized, recoloured
    (RESIZE, "make the small airplane at the top left large", True),
    (RESIZE, "make the airplane large instead of small", True),
    (RESIZE, "I would like the airplane at the top left to be large rather than small", True),
    (RESIZE, "make the large airplane at the top left small", False),
    (RESIZE, "make the airplane small instead of large", False),
    (RECOLOUR, "make the two red cars at the left blue", True),
    (RECOLOUR, "paint the cars blue", True),
    (RECOLOUR, "I want the two cars at the left to be blue, not red", True),
    (RECOLOUR, "the same but with the two cars at the left blue instead of red", True),
    (RECOLOUR, "turn the blue cars red", False),
    (RECOLOUR, "make the cars green", False),
    (RECOLOUR, "paint the hangar blue", False),
    (GROW, "make the hangar large", True),
    (GROW, "I would like the white hangar at the center to be large", True),
    (GROW, "the same but with the white hangar at the center large", True),
    (GROW, "I would like the hangar at the center to be made large.", True),
    (GROW, "The hangar at the center is large, and the same but with the same size.", False),
    (FADE, "The same but with one white hangar at the center instead of no longer white.", False),
    (GROW, "let the hangar be no longer large", False),
    (GROW, "make the large hangar white", False),
    (FADE, "let the white hangar be no longer white", True),
    (FADE, "I would like the hangar to be no longer white", True),
    (FADE, "make the hangar white", False),
    # replaced
    (FREE, "replace the two red cars at the left with four red cars at the top", True),
    (FREE, "I would like four red cars at the top instead of the two red cars at the left", True),
    (FREE, "remove the two red cars at the left and add four red cars at the top", True),
    (FREE, "replace four red cars at the top with two red cars at the left", False),
    (FREE, "move the two red cars from the left to the top", False),
    # related
    (TOUCH, "let the cars be next to the hangar", True),
    (TOUCH, "I would like the red cars to be beside the white hangar", True),
    (TOUCH, "the same but with the cars next to the hangar", True),
    (TOUCH, "the cars should no longer be next to the hangar", False),
    (PART, "the cars should no longer be next to the hangar", True),
    (PART, "do not let the cars be next to the hangar", True),
    (PART, "put the cars next to the hangar", False),
    (PART, "remove the cars", False),
    # several
    (
        TWO,
        "move the small airplane from the top left to the top right and remove the white hangar in center",
        True,
    ),
    (
        TWO,
        "The same but without the white hangar at the center, and with the airplane at the top right.",
        True,
    ),
    (
        TWO,
        "I would like the airplane to be at the top right and the white hangar at the center to be gone",
        True,
    ),
    (TWO, "move the small airplane from the top left to the top right", False),
    (TWO, "remove the white hangar at the center", False),
    (TWO, "remove the small airplane at the top left and the white hangar at the center", False),
    (SWAP, "remove the two red cars at the left and add one round pond at the bottom", True),
    (SWAP, "replace the two red cars at the left with a round pond at the bottom", True),
    (SWAP, "Replace the two red cars at the left by one round pond at the bottom.", True),
    (SWAP, "The same but with one round pond at the bottom instead of the two red cars at the left.", True),
    (SWAP, "replace one round pond at the bottom with the two red cars at the left", False),
    (SWAP, "the same but with two red cars at the left instead of the round pond at the bottom", False),
    (SWAP, "the same but with two round ponds at the bottom instead of the two red cars at the left", False),
    (SWAP, "swap the two red cars at the left for a round pond at the bottom", True),
    (SWAP, "move the two red cars at the left to the round pond at the bottom", False),
    (REMOVE, "replace the two red cars at the left with a round pond at the bottom", False),
    (ADD, "the same but with one round pond at the bottom instead of the two red cars at the left", False),
    (COUNT, "I would like to have two red cars at the left, from two to three", False),
    (
        MOVE,
        "The same but with the small airplane from the top left to the top right instead of the top",
        False,
    ),
    (SWAP, "with one round pond at the bottom and without the two red cars at the left", True),
    (
        SWAP,
        "I would like one round pond at the bottom to be added and the two red cars at the left to be gone",
        True,
    ),
    (TWO, "move the small airplane to the top right and remove the white hangar at the center as well", True),
    (SWAP, "add two red cars at the left and remove the round pond at the bottom", False),
    (SWAP, "remove the two red cars at the left", False),
)
