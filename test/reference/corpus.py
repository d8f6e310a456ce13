"""Text on which the small tokenizers are trained, and the strings on which they are tested."""

TEXT = """
A picture is a grid of pixels; a pixel is three numbers. The red circle is left of the blue square.
What is in the picture? There is a green triangle above a yellow star, and two small circles below it.
How many objects are there? There are four objects: a circle, a square, a triangle and a star.
The small dog sits on the old wooden table while the cat looks at the window.
Is the circle larger than the square? No, the square is larger than the circle.
Describe the image in one sentence. The image shows three people who walk along a river at night.
What colour is the object under the mask? The object under the mask is dark blue with a white border.
The model reads the question, looks at the image, and answers with one word at a time.
USER: What is this? ASSISTANT: This is a photograph of a mountain with snow on top of it.
A photo of a cat. A photo of a dog. A drawing of a house with a red roof. A painting of the sea.
The attention of the last layer is a weighted mean of values; the weights are a softmax of products.
It's raining, isn't it? They're here, we've seen them, I'm sure you'd agree, and she'll come too.
In 2023 there were 1,234 pictures of size 336 x 336 and 56 of size 224 x 224, that is 1290 in all.
def area(width, height):
    # the size of a box
    return width * height
for (let i = 0; i < 10; i++) { total += weights[i] * values[i]; }
Où est le café près de la gare ? Le garçon a mangé une crêpe à midi, déjà très bonne.
Größe und Straße: über den Fluß führt eine schöne Brücke nach Köln.
El niño pequeño está en la montaña con su perro; mañana será otro día.
Привет, мир! На картинке красный круг и синий квадрат.
你好，世界。图片里有一个红色的圆和一个蓝色的方块。
こんにちは、世界。これは赤い丸です。
""".strip("\n")

TRICKY = [
    "",
    " ",
    "   ",
    "\n",
    "\t\n \r\n",
    "Hello",
    " Hello",
    "Hello ",
    "Hello  world",
    "a photo of a cat",
    "What is in the picture?",
    "It's raining, isn't IT? WE'LL see; THEY'RE here.",
    "1234567890 3.14159 1,234",
    "The red circle\n\n\nis left   of\tthe blue square.\n",
    "trailing newline\n",
    "  two leading spaces, two trailing  ",
    "café naïve über Straße ÇA ĲSSEL",
    "cafe\u0301 (decomposed) vs caf\u00e9 (composed)",
    "ﬁne ligature, ½, ①, Ⅷ, ﷺ",
    "Привет, мир!",
    "你好，世界",
    "こんにちは 世界",
    "العربية שלום",
    "emoji 😀 👍🏽 👩‍👩‍👧‍👦 🇨🇭",
    "zero\u200bwidth\u00a0nbsp\u3000ideographic\ufeffbom",
    "control \x00\x01\x7f characters",
    "combining e\u0301\u0302\u0303 Å İstanbul ΑΣ ς",
    "for (let i = 0; i < 10; i++) { a[i] += b_c; }",
    "https://example.org/a?b=c&d=%20#e",
    "<s> </s> <unk> <0x41> <image> <|endoftext|> <|eot_id|>",
    "before<image>after <image>\n<image>",
    "▁already▁has▁metaspace",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "mixed 漢字kana カナ and latin",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0001f9ff \U000e0041",
]
