"""What people write in place of the grammar's words, and the words that ask for what can't be drawn.

`plain_words` brings a caption to the words of the grammar before anything else reads it. `check_words` refuses what
can't be brought there and says why: a word that means something else is never taken for one of similar spelling.
"""

import difflib
import re
import unicodedata

from ..base.errors import InputError, shorten
from .fields import count_in, is_fields, read_fields
from .grammar import (
    ALL_WORDS,
    ARTICLES,
    COLOURS,
    DIGIT_WORDS,
    DIRECTIONS,
    FIELD_WORDS,
    MAX_DIGITS,
    THEN,
    VERBS,
    VERY,
    VOCABULARY,
    motions_of,
)

# Signs that make another number of a digit.
_SIGNS = ((re.compile(r"(?<!\S)[-\u2212](?=[0-9])"), "minus "), (re.compile(r"(?<=[0-9])\.(?=[0-9])"), " point "))
LONGEST_CAPTION = 1000  # characters; the longest caption of the grammar has 128

_NUMERAL = rf"(?:[0-9]|{'|'.join(DIGIT_WORDS)})"
_MANY = "(?:numbers|numerals|digits)"
_COLOUR = rf"(?:{'|'.join(COLOURS)})"
_SUBJECT = rf"(?:(?:a|an|the) )?((?:{_COLOUR} )?)(?:digit )?({_NUMERAL})"
_HOW = "slowly|very quickly|quickly|fast"
_WHERE = rf"(?=(?:{_HOW}|up|down|left|right|upwards|downwards|to the)\b)"
_PLACE = "upper|top|lower|bottom|middle|center|centre|corner"
_CORNER = r"(?: (?:left|right))?(?: (?:corner|side|edge))?"
COMPASS = {
    "north ?east": "up and right",
    "north ?west": "up and left",
    "south ?east": "down and right",
    "south ?west": "down and left",
    "north": "up",
    "south": "down",
    "east": "right",
    "west": "left",
}

# What people write, and the words of the grammar that say the same. Each line is tried once, from top to bottom.
SYNONYMS = tuple(
    (re.compile(rf"\b(?:{said})\b"), meant)
    for said, meant in (
        # What goes without saying.
        (r"please|(?:draw|show|generate|make|create|render)(?: me)?", ""),
        (r"(?:an? )?(?:video|clip|animation|gif|movie) (?:of|with|showing)|there (?:is|are)", ""),
        (r"handwritten|hand (?:written|drawn)|mnist|single|white|both|diagonally", ""),
        (r"(?:across|crossing|on) (?:the )?screen", ""),
        # Colours: other names, and other places for them.
        (r"crimson|scarlet", "red"),
        (r"gold|golden", "yellow"),
        (r"lime", "green"),
        (r"turquoise|aqua", "cyan"),
        (r"pink|purple|violet|fuchsia", "magenta"),
        (rf"({_COLOUR}) colou?red", r"\1"),
        (rf"(?:(?:the )?two )?({_COLOUR}) {_MANY} ({_NUMERAL}) and ({_NUMERAL})", r"\1 \2 and \1 \3"),
        (rf"(?:(?:the )?two )?{_MANY} ({_NUMERAL}) and ({_NUMERAL}) in ({_COLOUR})", r"\3 \1 and \3 \2"),
        (rf"((?:digit )?{_NUMERAL}) (?:in|(?:that|which) is(?: in)?) ({_COLOUR})", r"\2 \1"),
        # Digits.
        (rf"(?:(?:the )?two )?{_MANY}|number|numeral|(?<!\bdigit )one digit", "digit"),
        (r"(?<!\bdigit )one (?=[0-9]\b)", ""),
        (r"nought|naught", "zero"),
        (r"an? (?=digit\b)", "the "),
        # Where it starts, which is refused below.
        (rf"(?:in|at) (?:the )?({_PLACE})(?! (?:(?:left|right) )?direction){_CORNER}", r"\1"),
        # Directions.
        (r"(?:from )?(?:the )?left to (?:the )?right(?: side)?", "right"),
        (r"(?:from )?(?:the )?right to (?:the )?left(?: side)?", "left"),
        (r"(?:from )?(?:the )?top to (?:the )?bottom", "down"),
        (r"(?:from )?(?:the )?bottom to (?:the )?top", "up"),
        (r"(?:to(?:wards?)? )?(?:the )?(?:upper|top) (right|left)(?: (?:corner|side))?", r"up and \1"),
        (r"(?:to(?:wards?)? )?(?:the )?(?:lower|bottom) (right|left)(?: (?:corner|side))?", r"down and \1"),
        (r"(?:in|to|towards?) (?:the )?(right|left)(?: (?:hand )?(?:side|direction))?", r"to the \1"),
        (r"(right|left)(?:wards?)(?: side)?", r"\1"),
        (r"(up|down)ward", r"\1wards"),
        (r"to(?:wards?)? (?:the )?top", "up"),
        (r"to(?:wards?)? (?:the )?bottom", "down"),
        *((rf"(?:to (?:the )?)?{point}(?:wards?)?", way) for point, way in COMPASS.items()),
        (r"(up|down)(?:wards)? (right|left)", r"\1 and \2"),
        (r"(?:to the )?(right|left)(?: and)? (up|down)(?:wards)?", r"\2 and \1"),
        # How fast.
        (r"very (?=slow)", ""),
        (r"at (?:a )?very (?:high|fast) speed|very (?:quick|fast|rapid|rapidly|swiftly|speedily)", "very quickly"),
        (r"at (?:a )?(?:high|fast) speed", "quickly"),
        (r"at (?:a )?(?:low|slow) speed", "slowly"),
        (r"(?:quick|rapid|rapidly|swiftly|speedily)", "quickly"),
        (r"slow|gently", "slowly"),
        (r"(?:at|with) (?:a )?(?:normal|medium|constant) speed|normally|steadily", ""),
        # What it does. All digits bounce.
        (rf"bouncing {_WHERE}", "moving "),
        (rf"bounces? {_WHERE}", "moves "),
        (r"(?:(?:that|which|and) )?(?:is )?(?:bounces?|bouncing)(?: (?:around|about|back))?", ""),
        (r"(?:off|from|at|against) (?:the )?(?:walls?|edges?|borders?|sides?)", ""),
        (r"travell?ing|flying|heading|headed|gliding|shifting", "moving"),
        (r"move|travels?|flies|fly|heads?|glides?|shifts?", "moves"),
        (r"drift|go|slide|float", r"moves"),
        (r"(?:that|which) (?:is|are)|are", "is"),
        (rf"(?:that|which) (?={'|'.join(VERBS)})", ""),
        (rf"(an?|the) ({_HOW}) ((?:{_COLOUR} )?(?:digit )?{_NUMERAL}(?: is)?) ({'|'.join(VERBS)})", r"\1 \3 \4 \2"),
        # What comes later.
        (r"(?:and )?(?:then|afterwards|after that|followed by)(?: it)?(?: is)?", THEN),
        (rf"then (?:turning|turns?|{'|'.join(VERBS)}) {_WHERE}", "then "),
        # A digit and where to, without a verb.
        (rf"({_NUMERAL}) (?=(?:up|down|left|right|upwards|downwards|to the)\b)", r"\1 moving "),
        # A second digit without "and"; a digit without an article.
        (rf"(up|down|left|right|upwards|downwards|slowly|quickly|fast) (?={_SUBJECT}\b)", r"\1 and "),
        (rf"(?:^|(?<=\band )|(?<=\bwhile )|(?<=\bthen ))(?=digit {_NUMERAL}\b)", "the "),
        (r"(?:^|(?<=\band )|(?<=\bwhile )|(?<=\bthen ))(?=(?:8|eight)\b)", "an "),
        (rf"(?:^|(?<=\band )|(?<=\bwhile )|(?<=\bthen ))(?=(?:{_COLOUR} (?:digit )?)?{_NUMERAL}\b)", "a "),
    )
)
# Two digits that share what is said once: "digits 4 and 7 moving up".
_TOGETHER = re.compile(rf"^{_SUBJECT} and {_SUBJECT}( (?!and|while).*)?$")

# What can't be drawn, and words that ask for it.
_CROWD = re.compile(rf"(?<!\bdigit )\b([3-9]|{'|'.join(DIGIT_WORDS[3:])}) digit\b")
_TOO_MUCH = {
    "asks for a colour; this model draws white digits (the weights `colour` draw colours)": (
        f"{' '.join(COLOURS)} black brown color colored colorful colour coloured colourful colours colors dark gray "
        "grey indigo orange rainbow silver"
    ),
    "asks for a size; all digits of this model have one size": (
        "big bigger bold enormous giant grow growing grows huge large larger little shrink shrinking shrinks small "
        "smaller thick thin tiny zoom zooming zooms"
    ),
    "asks for a turn; digits of this model stay upright": (
        "flip flipped flipping flips inverted mirrored roll rolling rolls rotate rotated rotates rotating spin "
        "spinning spins tilt tilted tilting turn turned turning turns tumbling upside"
    ),
    "asks for a digit at rest; this model hasn't learnt that, its digits always move": (
        "fixed frozen halt halts immobile motionless pause pauses pausing rest resting rests stand standing stands "
        "static stationary stay staying stays still stop stopped stopping stops unmoving wait waiting waits"
    ),
    "asks for another way to move; digits of this model go straight and bounce off the edges": (
        "accelerate accelerates accelerating backward backwards circle circles circling clockwise curve curves curving "
        "dancing forward forwards horizontally jump jumping jumps orbit orbiting random randomly round shaking shakes "
        "sideways swing swinging vertically walk walking walks run running runs wiggle wiggling zigzag"
    ),
    "asks for a place; a sentence can't say where a digit starts, only which way and how fast it moves": (
        f"starting start starts beginning {_PLACE.replace('|', ' ')}"
    ),
    "asks for a scene; digits of this model move on plain black": (
        "background beach city floor forest garden house landscape room scene sky street wall walls"
    ),
    "is no digit; this model draws digits 0 to 9 that move, and nothing else": (
        "alphabet animal animals apple baby ball balls bear bike bird birds boat box boy bus butterfly car cars cat "
        "cats child children circle cow cube dog dogs dragon duck elephant face fish flower fly fox girl hand heart "
        "horse human letter letters lion man men monkey moon mouse people person plane rabbit robot rocket sentence "
        "shape ship square star stars sun text tiger train tree trees triangle truck woman women word words "
        "minus negative"
    ),
    "is more than one digit; this model draws single digits 0 to 9, one or two of them": (
        "point "
        "dozen eighteen eleven fifteen fifty forty fourteen hundred many nineteen several seventeen sixteen sixty ten "
        "thirteen thirty thousand twelve twenty"
    ),
}
_OTHER_COLOUR = f"asks for a colour that this model doesn't draw; it draws {', '.join(COLOURS)} and white, on black"
TOO_MUCH = {word: reason for reason, words in reversed(_TOO_MUCH.items()) for word in words.split()}


def split_words(caption):
    """A caption's words, in lower case and without punctuation: "A 3, moving up." -> ["a", "3", "moving", "up"].

    Raises InputError where `plain_text` does.
    """
    return re.sub(r"[^\w\s]|_", " ", plain_text(caption)).split()


def plain_text(caption):
    """A caption in lower case, its full-width letters and the digits of other scripts made plain; -3 is "minus 3".

    Raises InputError for what isn't text, or is longer than LONGEST_CAPTION characters.
    """
    if not isinstance(caption, str):
        raise InputError(f"a caption is text such as 'a 3 moving right', not {type(caption).__name__}")
    if len(caption) > LONGEST_CAPTION:
        raise InputError(f"a caption of {len(caption):,} characters is too long; at most {LONGEST_CAPTION:,} fit")
    text = caption if caption.isascii() else _latin(caption)
    for sign, word in _SIGNS:
        text = sign.sub(word, text)
    return text.lower()


def _latin(caption):
    """Text with full-width letters made plain, and the digits of all scripts."""
    if any("\ud800" <= letter <= "\udfff" for letter in caption):
        raise InputError(f"{shorten(caption)!r} holds characters that aren't text; type it anew")
    plain = unicodedata.normalize("NFKC", caption)
    return "".join(str(unicodedata.decimal(letter, letter)) for letter in plain)


def plain_words(caption):
    """A caption's words, with SYNONYMS brought to those that the model learnt: "number 4" -> ["the", "digit", "4"].

    Fields are left as they are.
    """
    words = split_words(caption)
    if is_fields(words) or _is_plain(words):  # as all captions of training
        return words
    text = " ".join(words)
    for said, meant in SYNONYMS:
        text = " ".join(said.sub(meant, text).split())
    return f" {THEN} ".join(_TOGETHER.sub(_each, " ".join(part)) for part in split_at_then(text.split())).split()


def split_at_then(words):
    """The lists of words between one "then" and the next."""
    parts = [[]]
    for word in words:
        if word == THEN:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _is_plain(words):
    """Whether all words are the grammar's and in its order; a quick check that spares most captions the slow way."""
    try:
        return all(
            not part or " ".join(part) in DIRECTIONS or is_fields(part) or motions_of(part)
            for part in split_at_then(words)
        )
    except InputError:
        return False


def _each(together):
    """Two digits with what is said of both, as two clauses."""
    *digits, what = together.groups(default="")
    if re.search(rf"\b(?:{'|'.join(ARTICLES)}) (?:{_COLOUR} )?(?:digit )?{_NUMERAL}\b", what):  # a third digit
        return together[0]
    first, second = "".join(digits[:2]), "".join(digits[2:])
    return " and ".join(f"{'an' if digit in ('8', 'eight') else 'a'} {digit}{what}" for digit in (first, second))


def is_grammar(known):
    """Whether these words (a list, a tuple or a dict) are those of the grammar.

    Weights may lack "then", "very", and the words of fields and of colours.
    """
    return len(known) <= len(ALL_WORDS) and {*VOCABULARY} - {THEN, VERY} <= {*known} <= {*ALL_WORDS}


def count_digits(words):
    """The most digits that words name at one time, between one "then" and the next."""
    return max(
        count_in(part) if is_fields(part) else sum(word.isdecimal() or word in DIGIT_WORDS for word in part)
        for part in split_at_then(words)
    )


def check_words(words, known=ALL_WORDS):
    """Raise InputError unless all words are known; it says what can't be drawn, or which word was meant.

    Fields must have values that they may have; and words of fields stand in no sentence.
    """
    grammar = is_grammar(known)
    if grammar and any(map(is_fields, split_at_then(words))):
        return _check_fields(words, known)
    unknown = [word for word in words if word not in known or (grammar and word in FIELD_WORDS)]
    if unknown and grammar:
        known = [word for word in known if word not in FIELD_WORDS]
    if grammar and (crowd := _CROWD.search(" ".join(words))):
        raise InputError(f"'{crowd[1]} digits' are more than this model draws: one or two at a time")
    if grammar and (count := count_digits(words)) > MAX_DIGITS:
        raise InputError(f"a caption has one or two digits, and this one has {count}")
    for word in unknown:
        if why := reason(word, known):
            raise InputError(f"{shorten(word)!r} {why}")
    for word in unknown:
        if near := nearest(word, known):
            raise InputError(f"{shorten(word)!r} is not a word this model knows; nearest: {', '.join(near)}")
    if not unknown:
        return
    if grammar:
        raise InputError(
            f"this model draws digits 0 to 9 that move; it doesn't know {shorten(max(unknown, key=len))!r}"
        )
    if not known:
        raise InputError(
            'this model knows no words, since it learnt from clips without captions; give it an empty one, ""'
        )
    some = ", ".join(ascii(word)[1:-1][:20] for word in list(known)[:20])
    more = f" and {len(known) - 20:,} more" if len(known) > 20 else ""
    raise InputError(f"{shorten(unknown[0])!r} is not a word this model knows; it knows: {some}{more}")


def _check_fields(words, known):
    """check_words where some captions between "then" and "then" are fields."""
    for part in split_at_then(words):
        if not is_fields(part):
            check_words(part, known)
            continue
        fields = read_fields(part)
        if not {*FIELD_WORDS} <= {*known}:
            raise InputError(
                "these weights haven't learnt captions of fields; write a sentence such as 'a 3 moving right', or "
                "train weights that learn them: --set data.structured=0.5"
            )
        for name, value in fields:
            if VERY in value.split() and VERY not in known:
                raise InputError(f"'{name}: {value}' {reason(VERY, known)}")


def reason(word, known):
    """Why a model of digits can't draw what a word asks for; None where that isn't known."""
    if not is_grammar(known):
        return None
    if word == VERY:
        return "asks for a speed that this model hasn't learnt; its fastest digits move 'quickly'"
    if TOO_MUCH.get(word) == TOO_MUCH["red"] and {*COLOURS} <= {*known}:
        return _OTHER_COLOUR
    if word.isdecimal():
        return TOO_MUCH["ten"]
    if len(word) == 1 and word.isalpha():
        return TOO_MUCH["letter"]
    return TOO_MUCH.get(word)


def nearest(word, known):
    """Known words of which this is most likely a misspelling: the same letters in another order, or nearly the same."""
    swapped = [other for other in known if len(other) == len(word) and sorted(other) == sorted(word)]
    return swapped or (difflib.get_close_matches(word, known, n=3, cutoff=0.82) if 4 <= len(word) <= 30 else [])
