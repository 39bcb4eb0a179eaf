"""The names of the artwork that a longer training knows: nouns of both packages of `artwork.py`, by where they belong.

Left out: people, flags, clocks, signs, what is too alike at 256 pixels, and what the worlds draw themselves.
"""

from __future__ import annotations


def _icons(names: str) -> tuple[str, ...]:
    return tuple(names.split())


# what may stand in a landscape
OUTDOORS = _icons("""
    ant badger bat bear beaver beetle bison boar butterfly camel cat chicken chipmunk cow crab cricket crocodile dodo
    dog dolphin donkey dove dragon duck eagle elephant ewe flamingo fox frog giraffe goat goose gorilla hamster
    hedgehog hippopotamus honeybee horse jellyfish kangaroo koala lady-beetle leopard lion lizard llama lobster mammoth
    monkey moose mosquito mouse octopus orangutan otter owl ox panda parrot peacock penguin pig polar-bear poodle rabbit
    raccoon ram rat rhinoceros rooster sauropod scorpion seal shark skunk sloth snail snake spider squid swan t-rex
    tiger turkey turtle unicorn water-buffalo wolf worm zebra
    blossom coral hibiscus lotus mushroom rose sunflower tulip deciduous-tree christmas-tree
    airplane ambulance automobile bicycle bus bullet-train canoe carousel-horse circus-tent classical-building
    delivery-truck factory ferris-wheel fire-engine flying-saucer fountain helicopter hospital hotel
    japanese-castle kite locomotive mosque motorcycle parachute passenger-ship pickup-truck police-car racing-car
    roller-coaster satellite school motor-scooter speedboat stadium statue-of-liberty taxi tokyo-tower tractor
    train tram
""")
# what is drawn on a plain background only
INDOORS = _icons("""
    avocado bagel baguette-bread banana beer-mug bell-pepper birthday-cake bread broccoli bubble-tea burrito candy
    carrot cheese-wedge cherries chestnut chocolate-bar coconut cookie croissant cucumber cupcake doughnut dumpling
    ear-of-corn egg eggplant french-fries garlic grapes hamburger hot-dog hot-pepper ice-cream kiwi-fruit lemon lime
    lollipop mango melon olive onion pancakes peach peanuts pear pie pineapple pizza popcorn potato pretzel red-apple
    sandwich strawberry sushi taco tangerine teapot tomato waffle watermelon wine-glass
    accordion alarm-clock anchor axe backpack banjo baseball basketball bell bone books boomerang bucket calendar
    camera candle chair coin compass crayon crown crystal-ball dress drum feather floppy-disk flute gem-stone glasses
    guitar hammer headphone hourglass-done jack-o-lantern key keyboard kimono ladder laptop luggage light-bulb lipstick
    magic-wand magnet maracas megaphone microphone microscope mirror mobile-phone necktie nesting-dolls notebook
    paintbrush paperclip pencil potted-plant printer purse radio razor ribbon ring saxophone scarf scissors screwdriver
    scroll shield skateboard soap soccer-ball socks sled sponge spoon star sunglasses t-shirt teddy-bear telephone
    telescope television tennis toilet toolbox toothbrush top-hat trophy trumpet umbrella violin volleyball
    wrapped-gift wrench yo-yo
""")
NAMES = {  # what people call it, where the packages call it otherwise
    "automobile": "car",
    "birthday-cake": "cake",
    "cheese-wedge": "cheese",
    "chocolate-bar": "chocolate",
    "classical-building": "temple",
    "deciduous-tree": "round tree",
    "delivery-truck": "truck",
    "doughnut": "donut",
    "ear-of-corn": "corn",
    "flying-saucer": "ufo",
    "gem-stone": "gem",
    "hamburger": "burger",
    "hippopotamus": "hippo",
    "honeybee": "bee",
    "hourglass-done": "hourglass",
    "jack-o-lantern": "pumpkin",
    "kiwi-fruit": "kiwi",
    "lady-beetle": "ladybug",
    "luggage": "suitcase",
    "motor-scooter": "scooter",
    "passenger-ship": "ship",
    "red-apple": "apple",
    "rhinoceros": "rhino",
    "sauropod": "dinosaur",
    "tennis": "tennis racket",
    "wrapped-gift": "gift",
}
UNCOUNTED = _icons("""
    baguette-bread books bread broccoli cheese-wedge cherries ear-of-corn french-fries garlic glasses grapes maracas
    nesting-dolls pancakes peanuts popcorn scissors soap socks sunglasses sushi
""")
PLURALS = {"fish": "fish", "goose": "geese", "mouse": "mice", "ox": "oxen", "squid": "squid", "wolf": "wolves"}


def said(icon: str) -> str:
    """Return the name of an icon as people say it."""
    return NAMES.get(icon, icon.replace("-", " "))


def with_article(icon: str) -> str:
    if icon in UNCOUNTED:
        return said(icon)
    noun = said(icon)
    return f"an {noun}" if noun[0] in "aeio" or noun.startswith("umbrella") else f"a {noun}"


def plural(icon: str) -> str:
    noun = said(icon)
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
