"""The grammar of captions: kinds of items, and rules over them, written as a chunker's grammar is.

The kind of an item is one character, so a text is a string of kinds and a rule is a regular expression over
it. In a rule a name in capitals stands for one item of that kind or class, and `~NAME` for one of any other.
"""

import re
from enum import StrEnum


class Kind(StrEnum):
    """What an item of a text is."""

    NAME = "N"  # of an object, in the vocabulary
    ATTRIBUTE = "A"
    RELATION = "R"
    WEAK = "r"  # a relation that says little: has, of
    WITH = "w"  # as a relation

    AT = "P"  # at the top left
    AT_OF = "Q"  # the same before "of" and no word for the picture: of the hangar, of the airport
    SIDE = "p"  # the top left: without its preposition
    SIDE_OF = "q"
    ASIDE = "z"  # to its left: a relation to something named before, or a place in the scene

    NUMBER = "1"
    VAGUE = "V"  # many, some, few
    COLLECTIVE = "C"  # row, before "of"

    THE = "t"
    THESE = "s"  # these, those
    BOTH = "b"
    ALL = "l"  # all, each
    OTHER = "a"  # every other determiner

    NO = "n"  # no, without
    NEITHER = "k"  # neither, nor
    NOT = "x"  # every other negation

    IS = "i"
    ARE = "j"
    RELATIVE = "h"
    PRONOUN = "y"

    STOP = "."
    COMMA = ","
    COLON = ":"
    SEMICOLON = ";"
    BRACKET = "("
    SLASH = "/"
    AND = "&"
    OR = "e"

    OF = "f"
    MADE_OF = "m"  # an attribute after it is a material: "made of steel"
    PREPOSITION = "@"
    FUNCTION = "_"
    LINK = "c"  # with, where
    VERB = "v"
    PICTURE = "I"  # image, scene, view
    ONES = "o"  # ones, others
    WORD = "?"  # unknown


CLASSES = {
    "POSITION": "PQpqz",
    "PLACE": "PQpq",
    "POSITION_OF": "Qq",
    "BARE_POSITION": "pq",
    "QUANTITY": "1V",
    "ARTICLE": "ts",
    "CLOSING": "bla",  # determiners with which a noun phrase begins
    "DETERMINER": "tsbla",
    "NEGATION": "nkx",
    "COPULA": "ij",
    "JOINT": "&,/",  # between two attributes
    "SEPARATOR": "&,:;(/e",
    "UNKNOWN": "?v",  # an adjective, if an OPENER is before it
    "NUMBERED": ",&.()",
    "ADJECTIVE": "A?v",
    "JOINED": ",&",
    "OPENER": "1VtsblaA",
    "KNOWN": "ts1VA&,/",  # known words that may stand before a noun
    "UNCOUNTED": "tsA&,/?v",
    "AMOUNT": "1VA?",
    "BEGINNING": "nktsbla1VA?vCpqNo",  # of a noun phrase
    "NOUN": "?oI",
    "LITTLE": "ijv_ch@fmtsbla?oIrw",
    "RELATING": "Rz",
    "CONTENT": "NAR?I",
    "CLAUSE_START": ".&;:",
    "CLAUSE_END": ".;h",
    "PHRASE_END": ".,:;&hijcw",
    "AFTER_POSITION": "&,:;(/eij.chv_",
    "AFTER_ONE": "&,:;(/eij.chv_PQpqzR@",
    "UNFINISHED_KIND": "tfmij&e@c,:",
    "BEFORE_VERB": "ij.R",
    "AFTER_VERB": ".Ry",
    "NOUN_BEFORE_VERB": "NIyh?",
}


def rule(text: str) -> re.Pattern[str]:
    """Compile a rule."""

    def kinds(name: re.Match[str]) -> str:
        return f"[{'^' * len(name[1])}{CLASSES.get(name[2]) or Kind[name[2]]}]"

    return re.compile(re.sub(r"(~?)([A-Z_]{2,})", kinds, text), re.VERBOSE)


# a noun phrase up to its noun: "two small red", "no", "all the green", "a row of", "the left"
_MODIFIED = r"""
    (?=BEGINNING)
    (?: (?P<negation> NO | NEITHER)
      | (?P<collective> DETERMINER? AMOUNT* COLLECTIVE) OF  # a long row of
      | (?P<whole> BOTH | ALL) OF
      | (?P<partitive> QUANTITY) OF (?=THE)  # one of the
      | (?P<determiner> CLOSING)
    )?
    (?! (?: UNCOUNTED* QUANTITY ){2} )  # one at most
    (?! (?: KNOWN* UNKNOWN ){4} )  # three at most
    (?P<modifiers> (?:
        ATTRIBUTE | (?P<article> ARTICLE) | (?P<number> NUMBER) | (?P<vague> VAGUE)
      | (?<=QUANTITY) OTHER  # two other
      | (?P<place> BARE_POSITION) (?= (?: ATTRIBUTE | NUMBER )* UNKNOWN? NAME )
      | (?<=ATTRIBUTE) (?P<joint> JOINT) (?=ATTRIBUTE)
      | (?: (?<=ATTRIBUTE) | (?<=OPENER UNKNOWN) | (?<=JOINED UNKNOWN) ) (?P<loose> COMMA)
        (?= ADJECTIVE{1,3} (?: JOINED ADJECTIVE{1,2} )? NAME )
      | (?<=ATTRIBUTE) (?P<and> AND) (?= UNKNOWN ATTRIBUTE* NAME )
      | (?: (?<=OPENER) | (?<=OPENER UNKNOWN) | (?<=JOINED) | (?<=JOINED UNKNOWN) ) UNKNOWN
    )* )
    (?P<side> BARE_POSITION)?
"""
NOUN_PHRASE = rule(_MODIFIED + "NAME")

# "the white ones", of what the text has named last
ELLIPSIS = rule(_MODIFIED + "ONES")

# after "both the cars", which are not two, in "both the cars and the lot"
CORRELATIVE = rule("POSITION? AND (?: BEGINNING | NAME )")

# "... and one blue.", "... and one at the right", of what the text has named last
COUNT = rule(r"""
    (?: THE )? NUMBER (?: OF (?: PRONOUN | RELATIVE ) )?
    (?: ATTRIBUTE+ (?= SEPARATOR | POSITION | COPULA | STOP | \Z) | (?= POSITION | COPULA ) )
  | THE NUMBER (?= SEPARATOR | RELATION | STOP | \Z)
""")

# after such a count, what gives its noun: "two red and three blue cars"
COUNTED_TOGETHER = rule("(?: COMMA QUANTITY ATTRIBUTE+ )* COMMA? AND QUANTITY ATTRIBUTE+ NAME")

# a quantity that stands apart: "The cars are two,", "Cars: two, red", "cars (2)", ", of which there are two"
QUANTITY_APART = rule(r"""
    (?: POSITION? (?: COPULA | COMMA | COLON | BRACKET ) FUNCTION?
      | COMMA (?: OF | WEAK ) RELATIVE FUNCTION COPULA )
    QUANTITY (?= (?: OF PRONOUN )? FUNCTION? NUMBERED | \Z)
""")

# the first attributes of a noun phrase belong to what is before it: "The car is white and green trees ..."
PREDICATED = rule(
    "(?<=COPULA) | (?<=RELATIVE) | (?<=NAME) | (?<=NEGATION) | (?<=MADE_OF)"
    "| (?<=COPULA OF) | (?<=RELATIVE OF) | (?<=NAME OF) | (?<=NEGATION OF)"
)

# between the noun phrases of a list: "a car, a bus and, below it, a hangar"
LIST = rule("SEPARATOR+ (?: RELATION PRONOUN SEPARATOR+ )?")

# the same, with the places of its members: "the car at the left and the bus at the right are red"
PLACED_LIST = rule("POSITION? (?: COMMA | AND )+")

# a word that no graph has, where an attribute would stand: ", derelict,", "is rusty", "which are dusty and"
UNKNOWN_ATTRIBUTE = rule(r"""
    (?<=NAME COMMA) WORD (?: AND ADJECTIVE )? (?= COMMA (?: POSITION | COPULA ) | STOP | \Z)
  | (?: (?<=NAME COPULA) | (?<=POSITION COPULA) | (?<=RELATIVE COPULA) | (?<=PRONOUN COPULA)
      | (?<=COMMA COPULA) )
    WORD (?: (?P<placed> (?=POSITION) ) | (?= AND (?: ADJECTIVE | COPULA ) | COMMA | SEMICOLON | STOP | \Z) )
""")

# "covered in rust", "coated with moss"
COVER = rule("WORD (?: PREPOSITION | RELATION | WITH | LINK ) WORD")

# the places or looks of several, one each: "are at the left and right, respectively"
IN_TURN = rule(r"""
    (?P<values> POSITION (?: (?: COMMA | AND )+ POSITION )+
              | ATTRIBUTE (?: (?: COMMA | AND )+ ATTRIBUTE )+ )
    COMMA? (?P<respectively> WORD )
""")

# between two clauses rather than two members of a list: "near the hangar, and a car"
CLAUSE_JOINT = rule("COMMA AND")

# between two items of a list whose "and" is not the last: "..., and a car and a bus", "... are left, a car"
NEW_ITEM = rule("AND | SEMICOLON | COLON | WITH | LINK | COPULA | RELATIVE")
NEXT_ITEM = rule("BRACKET? POSITION BRACKET? (?: COMMA | AND | SEMICOLON )")

# the same in a denial: "no cars, trucks or boats"
DENIED_LIST = rule("COMMA* (?: (?P<or> OR | NEITHER ) | (?P<and> AND ) )? (?: NOT | NEITHER )? COMMA*")

# after a noun phrase that is one of several choices: ", trucks or boats"
LAST_CHOICE = rule("(?: COMMA BEGINNING* NAME? )* COMMA? OR")

# after a shape that is an attribute here: "a square, white house", and no name: "a square, a house"
SHAPED = rule("NAME | ATTRIBUTE | NOUN | JOINT ATTRIBUTE+ NAME")

# the scene's name, where it is an object's as well
PLACE_IN_NAME = rule("POSITION_OF OF DETERMINER NAME")

# a pronoun that opens a clause: "They are red", "Both are small"
SUBJECT = rule(
    "(?: (?<=STOP) | (?<=SEPARATOR) | (?<=LINK) | ^ ) (?: PRONOUN | (?: BOTH | THESE ) (?=COPULA) )"
)

# after "on it": what is said of the thing that is there
_AFTER_IT = """
    (?: COMMA | BRACKET )? (?: FUNCTION | BOTH | ALL )* POSITION
  | AND VERB+ POSITION | COPULA | COMMA RELATIVE
"""

# what else is named between a subject and its verb: "The pond, around which trees stand, is round", "The cars
# next to the hangar are red"
SUBJECT_TO_VERB = rule("""
    POSITION?
    (?: COMMA
        (?: (?: RELATION | PREPOSITION )? RELATIVE | UNKNOWN? RELATION | UNKNOWN PREPOSITION | WITH | LINK )
        (?: ~CLAUSE_END )*? COMMA
      | UNKNOWN? (?: RELATION | PREPOSITION | WITH ) (?: ~PHRASE_END )* (?: COMMA POSITION COMMA? )?
    ) (?=COPULA)
""")

# what is said after a noun phrase, up to the sentence's end, a relation, or a pronoun that is no subject
_REST = rf"(?: ~{{}} | RELATION (?! PRONOUN | DETERMINER | \Z) | RELATION PRONOUN (?= {_AFTER_IT} ) )*"
REMARK = rule(f"{_REST.format('BEFORE_VERB')} (?: COPULA {_REST.format('AFTER_VERB')} )?")

PAIR_CLAUSE = rule("RELATION PRONOUN (?= COMMA RELATIVE )")

# in a remark: a position, or an attribute that no unknown noun follows: "is red", not "has a red spot"
CLAIM = rule(
    "POSITION"
    "| (?: (?: (?<=COPULA) | (?<=MADE_OF) | (?<=COPULA OTHER) | (?<=COPULA OTHER ATTRIBUTE) ) ATTRIBUTE"
    "| ATTRIBUTE (?!NOUN) ) (?! NAME | NUMBER)"
)

# what is before a claim in its remark: it is denied, or about something that no graph names
DENIAL = rule(r"NEGATION ~SEPARATOR* \Z")
FOREIGN_PHRASE = rule(
    "(?: QUANTITY (?! (?: OF PRONOUN )? FUNCTION? NUMBERED ) | ARTICLE | (?<!COPULA) OTHER )"
    "(?! (?: WORD | NAME )* PICTURE)"
)
LOOSE = rule("RELATION PRONOUN")  # after it, a position may belong to either

# a position that says nothing of the noun phrase before it
STRAY_POSITION = rule(
    "(?<! SEPARATOR) (?<! COPULA) (?<! VERB) (?<! NAME) (?<! BOTH) (?<! ALL)"
    "(?<! NAME WORD) (?<! NAME WORD WORD) (?<! RELATIVE WORD) (?<! COMMA WORD) (?<! AND WORD) BARE_POSITION"
)

# "the left of the hangar": a relation to an object, unless that is the scene: "the center of the airport"
POSITION_OF_NAME = rule("POSITION_OF (?: OF | DETERMINER ){0,2} NAME")

# a position before the noun phrase that it belongs to: "At the left there is", "On the right, the"
OPENING_POSITION = rule(r"(?P<position> POSITION) (?: LITTLE | COMMA | COLON )* \Z")

# the same after another noun phrase: "and, at the bottom, one pond", ", on the right is a blue car"
_FRONTED = r"""
    (?: (?: AND | LINK | WITH | SEMICOLON ) COMMA*
      | SEMICOLON (?: LITTLE | COMMA )*
      | (?<!COMMA) COMMA (?= POSITION COMMA? COPULA) )
    (?P<position> POSITION) (?: LITTLE | COMMA | COLON )* \Z
"""
FRONTED_POSITION = rule(_FRONTED)

# the same after a noun phrase whose position is known: "a car at the left, at the right a bus"
NEXT_POSITION = rule(
    _FRONTED.replace("COMMA? COPULA)", r"(?: COMMA? COPULA | (?: (?! LINK | WITH ) LITTLE )* \Z ))")
)

DENIED_RELATION = rule("(?: (?<=NEGATION) | (?<=NEGATION .) ) RELATION")

# before a relation that is said before its subject, and after its object
FRONTED_RELATION = rule(r"""
    (?: AND | SEMICOLON | LINK | WITH | COLON ) COMMA* (?P<front> (?: PLACE COMMA )? FUNCTION* ) \Z
""")
NEXT_INVERSION = rule("POSITION? COPULA")  # ", right of the ship are two cars"
OBJECT_REMARK = rule(
    "(?: OF DETERMINER* NAME )? POSITION*"
    "(?: COMMA? RELATIVE COPULA (?: ATTRIBUTE | JOINT (?=ATTRIBUTE) | POSITION )+ )? POSITION*"
)
INVERSION = rule(
    "(?: COMMA | COLON | FUNCTION | POSITION )* (?: COPULA | VERB | (?<=COMMA) BEGINNING | QUANTITY | OTHER )"
)

# "the former are above and the latter are below the hangar": two relations with one object
SHARED_OBJECT = rule("RELATION COMMA? AND (?: PRONOUN COPULA? | ~STOP{1,4}? COPULA ) RELATION")

# "to which a long belt is connected", "that a long belt is connected to"
STRANDED = rule(r"""
    PREPOSITION RELATIVE (?: ~CLAUSE_END )+? COPULA UNKNOWN
  | RELATIVE (?=BEGINNING) (?: ~CLAUSE_END )+? COPULA (?P<predicate> RELATION ) (?= SEPARATOR | STOP | \Z)
""")

# "a pit with two trucks inside", which is in the pit
ADVERB = rule(r"RELATION (?= SEPARATOR | STOP | \Z)")

# after the subject of the next relation, and no object of this one: "on the roads and bushes beside them"
NEXT_SUBJECT = rule("PLACE? RELATION (?: PRONOUN | BEGINNING | NAME )")

# a relation that is not denied: "is not next to", "not far left of"
ASSERTED_RELATION = rule("(?<!NEGATION) (?<!NEGATION .) (?: RELATION | ASIDE ) | WEAK | WITH")

# where a phrase begins that a text may not say again at once
PHRASE_START = rule("SEPARATOR | (?<! OPENER) (?<! UNKNOWN) (?! PLACE) (?: BEGINNING | PICTURE )")

# a text that breaks off: "... the boats are left of the"
UNFINISHED = rule(r"UNFINISHED_KIND \Z")
