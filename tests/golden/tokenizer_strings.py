"""Strings for make_tokenizer_golden.py: varied, hostile, deterministic (one seeded generator)."""
import random
import unicodedata

# Public domain: A. Lincoln, Gettysburg, 1863; Declaration of Independence, 1776; J. Austen, Pride
# and Prejudice, 1813; H. Melville, Moby-Dick, 1851; Grimm, 1812; Voltaire, 1759; Cervantes, 1605.
PROSE = """\
Four score and seven years ago our fathers brought forth on this continent, a new nation, \
conceived in Liberty, and dedicated to the proposition that all men are created equal. Now we are \
engaged in a great civil war, testing whether that nation, or any nation so conceived and so \
dedicated, can long endure. We are met on a great battle-field of that war. We have come to \
dedicate a portion of that field, as a final resting place for those who here gave their lives \
that that nation might live. It is altogether fitting and proper that we should do this.
When in the Course of human events, it becomes necessary for one people to dissolve the political \
bands which have connected them with another, and to assume among the powers of the earth, the \
separate and equal station to which the Laws of Nature and of Nature's God entitle them, a decent \
respect to the opinions of mankind requires that they should declare the causes which impel them \
to the separation. We hold these truths to be self-evident, that all men are created equal, that \
they are endowed by their Creator with certain unalienable Rights, that among these are Life, \
Liberty and the pursuit of Happiness.
It is a truth universally acknowledged, that a single man in possession of a good fortune, must be \
in want of a wife. "My dear Mr. Bennet," said his lady to him one day, "have you heard that \
Netherfield Park is let at last?" Mr. Bennet replied that he had not. "But it is," returned she; \
"for Mrs. Long has just been here, and she told me all about it."
Call me Ishmael. Some years ago--never mind how long precisely--having little or no money in my \
purse, and nothing particular to interest me on shore, I thought I would sail about a little and \
see the watery part of the world. It's a way I have of driving off the spleen; don't they'll \
we've you're I'm he'd.
Es war einmal ein König, der hatte eine Tochter; die war so schön, daß die Sonne selber, die doch \
so vieles gesehen hat, sich verwunderte, sooft sie ihr ins Gesicht schien.
Il y avait en Westphalie, dans le château de M. le baron de Thunder-ten-tronckh, un jeune garçon à \
qui la nature avait donné les mœurs les plus douces.
En un lugar de la Mancha, de cuyo nombre no quiero acordarme, no ha mucho tiempo que vivía un \
hidalgo de los de lanza en astillero, adarga antigua, rocín flaco y galgo corredor.
"""

CODE = [
    "int main(int argc, char** argv) {\n\tstd::cout << \"hi\\n\";\n\treturn 0;\n}\n",
    "def f(x):\n    if x > 1:\n        return f(x - 1) * x\n    return 1\n",
    "for (let i = 0; i < n; ++i) { a[i] += b[i] ?? 0; }  // done",
    "SELECT a.id, COUNT(*) FROM t AS a WHERE a.x >= 3.5 GROUP BY 1;",
    "{\"key\": [1, 2.5e-3, null, true], \"π\": \"\\u00e9\"}",
    "<div class=\"a b\">&nbsp;<!-- c --></div>",
    "https://example.org/a/b?c=d&e=%20f#g", "C:\\dir\\file.txt", "/usr/lib/x86_64-linux-gnu/",
    "$ ls -la | grep '^d' && echo \"$HOME\"", "\\begin{equation} e^{i\\pi} + 1 = 0 \\end{equation}",
    "#!/bin/sh\nset -eu\nexport A=1\n", "x = 0xDEADBEEF; y = 0b1011; z = 1_000_000;",
    "@@ -1,3 +1,4 @@\n-old\n+new\n", "fn main() -> Result<(), Box<dyn Error>> { Ok(()) }",
    "a&&b||!c", "->=>===!==<=>::...", "====================", "-----", "*****", "~~~", "```py\n```",
]
CONTRACTIONS = [
    "it's", "IT'S", "don't", "DON'T", "we're", "WE'RE", "I've", "I'VE", "I'm", "I'M", "we'll",
    "WE'LL", "he'd", "HE'D", "'s", "'S", "''s", "s's's", "o'clock", "rock'n'roll", "'tis", "’s",
    "it’s", "'ſ", "it'ſ", "'ſt", "'K", "'Ll", "'lL", "'rE", "'vE", "' s", " 's", "'s1", "1's",
    "don't've", "y'all'd've", "'", "''", "'''", "x'", "'x", "'d'm't's",
]
EMOJI = [
    "😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👩🏾‍🚀", "🇩🇪🇫🇷", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "#️⃣", "❤️", "❤", "☺︎", "🫨",
    "🫩", "👁️‍🗨️", "🧑‍🤝‍🧑", "🐻‍❄️", "🤷🏻‍♀️", "🎉🎉🎉", "a😀b", " 😀 ", "😀1", "🪿", "🏼", "‍", "️",
]
SCRIPTS = [
    "中文字符测试", "日本語のテキスト、カタカナ。", "한국어 텍스트", "각", "𠀀𠮷", "𰀀", "𲎯", "ﾊﾝｶｸ", "繁體中文",
    "Привет, мир!", "Ελληνικά κείμενο", "Ελληνικός", "שלום עולם", "שָׁלוֹם", "مرحبا بالعالم", "السَّلامُ", "اردو میں",
    "हिन्दी में पाठ", "क्षत्रिय", "বাংলা", "தமிழ்", "ภาษาไทย", "မြန်မာ", "ខ្មែរ", "ქართული", "Հայերեն",
    "አማርኛ", "ᏣᎳᎩ", "ᐃᓄᒃᑎᑐᑦ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "𝟘𝟙𝟚", "Ⅷ", "½¼", "①②③", "²³", "५६७", "٣٤٥", "१2३4",
    "é", "e\u0301", "Å", "A\u030a", "ñ", "n\u0303", "Z\u0351\u0352\u0353a\u0361\u0362l", "\u0301",
    " \u0301a", "ﬁ ﬂ ﬆ", "ǅ ǈ", "ı İ ß ẞ", "ſ K Å", "„quotes“ «a» ‹b›", "…—–·•", "€£¥₹₿", "™®©",
    "\u202eright\u202c", "\u200fא\u200e", "a\u00adb", "\ufeffbom", "\u2060", "\ue000", "\uffff",
    "\U0010ffff", "\u0378", "Ñandú", "naïve café", "Đ ð þ", "ŉ", "ǰ", "ΐ", "և", "ẖẗẘẙẚ",
]
NUMBERS = [
    "0", "1", "12", "123", "1234", "12345678901234567890", "3.14159", "1e10", "-5", "+7", "1,000.50",
    "2024-01-31", "12:34:56", "v1.2.3", "50%", "$9.99", "1st 2nd 3rd", "a1b2c3", "0x1F", "1/2",
    "10^6", "٠١٢٣٤٥٦٧٨٩", "०१२", "１２３", "𝟎𝟏", "Ⅻ", "㊿", "一二三", "೧೨", "𑽐𑽑", "𞓰", "𜳰", "𑷠", "𐵀", "🄀",
]
SPACES = [chr(c) for c in (*range(9, 14), 0x1C, 0x1D, 0x1E, 0x1F, 0x20, 0x85, 0xA0, 0x1680, 0x180E,
                           *range(0x2000, 0x200E), 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000,
                           0xFEFF)]


def controls():
    for c in [*range(0x21), *range(0x7F, 0xA1), 0xAD]:
        for text in (chr(c), "a%cb" % c, " %c %c" % (c, c), "%c%c%c1" % (c, c, c)):
            yield text


def white_space(rng, count):
    for n in range(1, 20):
        for text in (" " * n, " " * n + "a", "a" + " " * n, "a" + " " * n + "b", "\n" * n, "\t" * n + "x",
                     "x\n" + " " * n + "y", "x" + " " * n + "\n" + "y", "\r\n" * n, "1" + " " * n + "2"):
            yield text
    for space in SPACES:
        for text in (space, "a" + space + "b", space * 2 + "x", "x " + space + " y", space + "1" + space):
            yield text
    for _ in range(count):
        yield "".join(rng.choice([*SPACES, " ", "\n", "a", "1", "."]) for _ in range(rng.randint(2, 12)))


def added(rng, tokens, count):
    around = ["", " ", "  ", "\n", "\t ", "a", "1", ".", "é", "_", "\u3000", "<", "|", "\u0301", "中"]
    for token in tokens:
        for text in (token, token * 2, token[:-1], token[1:], token[: len(token) // 2] + token,
                     token + token[:-1], token.upper(), " " + token + " ", "a" + token + "b",
                     "a " + token + "  b", "\n\n" + token + "\n\n"):
            yield text
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 5)):
            parts += [rng.choice(around), rng.choice(tokens), rng.choice(around)]
        yield "".join(parts)


def prose(rng, count):
    yield from PROSE.split("\n")
    for _ in range(count):
        begin = rng.randrange(len(PROSE))
        yield PROSE[begin: begin + rng.randint(3, 120)]


def long_words(rng):
    for n in (31, 63, 64, 127, 300):
        yield "a" * n
        yield "ab" * n
        yield "the" * n
        yield "".join(rng.choice("etaoinshrdlu") for _ in range(n))
        yield "".join(rng.choice("ETAOINetaoin0123456789+/") for _ in range(n))
        yield "字" * (n // 2)
        yield "-" * n


def random_characters(rng, count):
    assigned = [c for c in range(0x20, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    blocks = [assigned[i: i + 96] for i in range(0, len(assigned), 96)]
    for _ in range(count):
        if rng.random() < 0.5:
            pool = rng.choice(blocks)
        else:
            pool = [rng.choice(assigned) for _ in range(8)]
        yield "".join(chr(rng.choice(pool)) for _ in range(rng.randint(1, 12)))
    for _ in range(count // 10):  # unassigned, private, non-characters too
        code_points = [rng.randrange(0x110000) for _ in range(4)]
        yield "x".join(chr(c) for c in code_points if not 0xD800 <= c < 0xE000)


def mixtures(rng, pools, count):
    for _ in range(count):
        yield "".join(rng.choice(rng.choice(pools)) + rng.choice(["", " ", "", "\n", ", "])
                      for _ in range(rng.randint(2, 6)))


def bad_bytes(rng, count):
    fixed = ["80", "BF", "C0", "C080", "C1BF", "C2", "C220", "E0", "E08080", "E09FBF", "E0A0", "E0A041",
             "EDA080", "EDBFBF", "EDA081EDB080", "E282", "E28241", "F0", "F08FBFBF", "F09080", "F09F98",
             "F09F9841", "F48FBFBF", "F4908080", "F5808080", "F8888080", "FE", "FF", "FFFE", "61FF62",
             "F1", "F180", "F18080", "E1A0C0", "61F18080E180C262806380BF64", "C3A9C3", "EFBFBD"]
    for text in fixed:
        yield bytes.fromhex(text)
    for byte in range(0x80, 0x100):
        yield bytes([0x61, byte, 0x62])
    valid = "aé中😀 \n1".encode()
    for _ in range(count):
        data = bytearray(rng.choice([valid, PROSE.encode()[:40], rng.randbytes(12)]))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at: at + rng.randint(0, 2)] = rng.choice([b"", rng.randbytes(1), rng.randbytes(3)])
        yield bytes(data) or b"\xff"


def texts(seed, added_tokens, scale):
    """Distinct strings, about 5,300 at scale 1."""
    rng = random.Random(seed)
    some = lambda n: max(1, int(n * scale))
    pools = [CODE, CONTRACTIONS, EMOJI, SCRIPTS, NUMBERS, SPACES, PROSE.split()]
    found = [""]
    for pool in (CODE, CONTRACTIONS, EMOJI, SCRIPTS, NUMBERS):
        for text in pool:
            found += [text, " " + text]
    found += controls()
    found += white_space(rng, some(300))
    found += added(rng, added_tokens, some(300))
    found += prose(rng, some(700))
    found += long_words(rng)
    found += random_characters(rng, some(1000))
    found += mixtures(rng, pools, some(1700))
    return list(dict.fromkeys(found))


def byte_strings(seed, scale):
    return list(dict.fromkeys(bad_bytes(random.Random(seed + 1), max(1, int(400 * scale)))))
