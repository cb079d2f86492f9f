"""What the demo's requests ask for. A data table.

Every intent has phrasings for training and phrasings that only held-out rows use; every kind of value has values for
training and values that only held-out rows use. `{slot:kind}` in a phrasing is filled with a value of that kind;
`answer` maps JSON keys to a slot or to a constant.
"""

from __future__ import annotations

from typing import NamedTuple


class Intent(NamedTuple):
    name: str
    slots: dict[str, str]
    """Slot -> kind of value, in the order of the answer's keys."""
    phrasings: tuple[str, ...]
    held_out_phrasings: tuple[str, ...]


class Kind(NamedTuple):
    train: tuple[str | int, ...]
    held_out: tuple[str | int, ...]


KINDS: dict[str, Kind] = {
    "room": Kind(
        ("kitchen", "bedroom", "hallway", "garage", "office", "attic", "bathroom", "living room", "cellar", "porch"),
        ("nursery", "pantry", "library", "workshop", "guest room"),
    ),
    "state": Kind(("on", "off"), ()),
    "minutes": Kind(
        (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 14, 15, 18, 20, 22, 25, 30, 35, 40, 45, 50, 60), (7, 13, 17, 28, 33, 55)
    ),
    "time": Kind(
        (
            "06:00",
            "06:30",
            "07:15",
            "07:45",
            "08:00",
            "09:20",
            "10:30",
            "11:00",
            "12:45",
            "13:30",
            "14:00",
            "15:15",
            "16:40",
            "17:00",
            "18:20",
            "19:45",
            "20:00",
            "21:30",
            "22:15",
            "23:00",
        ),
        ("05:50", "07:25", "09:05", "11:35", "16:10", "18:55", "20:25"),
    ),
    "artist": Kind(
        (
            "Mozart",
            "Adele",
            "Miles Davis",
            "Nina Simone",
            "Bach",
            "Queen",
            "Bob Marley",
            "Madonna",
            "Vivaldi",
            "Johnny Cash",
            "Billie Holiday",
            "Elvis",
        ),
        ("Chopin", "David Bowie", "Aretha Franklin", "Schubert", "Ella Fitzgerald"),
    ),
    "level": Kind((10, 15, 20, 25, 30, 40, 45, 50, 60, 70, 75, 80, 90, 100), (36, 44, 65, 85, 95)),
    "person": Kind(
        (
            "Anna",
            "Tom",
            "Maria",
            "Peter",
            "Julia",
            "David",
            "Laura",
            "Paul",
            "Nina",
            "Martin",
            "Sarah",
            "Oliver",
            "Emma",
            "Lucas",
        ),
        ("Hannah", "Felix", "Clara", "Simon", "Rosa", "Victor"),
    ),
    "text": Kind(
        (
            "I am on my way",
            "dinner is ready",
            "the train is late",
            "happy birthday",
            "call me back",
            "see you tomorrow",
            "the door is open",
            "we need bread",
            "thank you",
            "good night",
        ),
        ("I lost my keys", "lunch is at noon", "the dog is fine", "bring an umbrella", "the bus was early"),
    ),
    "item": Kind(
        ("milk", "eggs", "bread", "apples", "butter", "rice", "coffee", "tomatoes", "soap", "cheese", "onions", "salt"),
        ("carrots", "honey", "lemons", "flour", "olives", "yogurt"),
    ),
    "count": Kind((1, 2, 3, 4, 5, 6, 8, 9, 10, 12), (7, 11, 13)),
    "city": Kind(
        ("Paris", "Berlin", "Madrid", "Oslo", "Tokyo", "Rome", "London", "Vienna", "Prague", "Cairo", "Lima", "Boston"),
        ("Lisbon", "Dublin", "Athens", "Helsinki", "Nairobi", "Chicago"),
    ),
    "day": Kind(("Monday", "Tuesday", "Thursday", "Friday", "Sunday"), ("Wednesday", "Saturday")),
    "degrees": Kind((16, 18, 20, 21, 22, 23, 24), (17, 19)),
    "place": Kind(
        (
            "the airport",
            "the station",
            "the museum",
            "the harbor",
            "the city hall",
            "the market",
            "the hospital",
            "the stadium",
            "the university",
            "the zoo",
        ),
        ("the theater", "the castle", "the bakery", "the embassy", "the aquarium"),
    ),
    "mode": Kind(("car", "bike", "bus", "train"), ()),
    "word": Kind(
        (
            "bread",
            "house",
            "water",
            "friend",
            "morning",
            "window",
            "summer",
            "table",
            "river",
            "garden",
            "music",
            "letter",
        ),
        ("bridge", "winter", "mirror", "forest", "candle", "island"),
    ),
    "language": Kind(("French", "German", "Spanish", "Italian", "Polish", "Dutch"), ("Swedish", "Greek", "Turkish")),
    "chore": Kind(
        (
            "water the plants",
            "pay the rent",
            "feed the cat",
            "clean the oven",
            "book a dentist",
            "wash the car",
            "charge the phone",
            "empty the bins",
            "renew the passport",
            "fix the lamp",
        ),
        ("return the books", "order a cake", "paint the fence", "sort the photos", "check the tires"),
    ),
    "unit": Kind(("miles", "pounds", "feet", "inches"), ("gallons", "ounces")),
    "amount": Kind((2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 20, 25, 30, 40, 50, 60, 75, 100), (27, 36, 48, 95)),
    "channel": Kind(("news", "sports", "movies", "kids", "nature", "history"), ("science", "comedy", "travel")),
}

INTENTS: tuple[Intent, ...] = (
    Intent(
        "lights",
        {"room": "room", "state": "state"},
        (
            "turn {state} the lights in the {room}",
            "switch the {room} lights {state}",
            "lights {state} in the {room} please",
            "could you turn the {room} light {state}",
            "I want the {room} lights {state}",
            "{room} lights {state}",
            "please switch {state} the light in the {room}",
            "make sure the lights in the {room} are {state}",
        ),
        (
            "can the lamp in the {room} go {state}",
            "get the {room} lights {state} for me",
            "set the lights of the {room} to {state}",
        ),
    ),
    Intent(
        "timer",
        {"minutes": "minutes"},
        (
            "set a timer for {minutes} minutes",
            "start a {minutes} minute timer",
            "timer {minutes} minutes please",
            "count down {minutes} minutes",
            "give me a timer of {minutes} minutes",
            "I need a {minutes} minute timer",
            "please time {minutes} minutes",
            "wake the timer for {minutes} minutes",
        ),
        (
            "ring a timer after {minutes} minutes",
            "run a timer for {minutes} minutes now",
            "could you time {minutes} minutes for me",
        ),
    ),
    Intent(
        "alarm",
        {"time": "time"},
        (
            "wake me at {time}",
            "set an alarm for {time}",
            "alarm at {time} please",
            "I have to get up at {time}",
            "please wake me up at {time}",
            "put an alarm on {time}",
            "make the alarm ring at {time}",
            "my alarm should go off at {time}",
        ),
        ("I want to be woken at {time}", "let an alarm sound at {time}", "get me out of bed at {time}"),
    ),
    Intent(
        "play",
        {"artist": "artist"},
        (
            "play something by {artist}",
            "put on {artist}",
            "I want to hear {artist}",
            "music by {artist} please",
            "start some {artist}",
            "could you play {artist}",
            "let us listen to {artist}",
            "play me a song of {artist}",
        ),
        ("I am in the mood for {artist}", "how about some music from {artist}", "please play anything by {artist}"),
    ),
    Intent(
        "volume",
        {"level": "level"},
        (
            "set the volume to {level}",
            "volume {level} please",
            "turn the sound to {level}",
            "make it {level} percent loud",
            "change the volume to {level}",
            "put the volume at {level}",
            "I want the volume at {level}",
            "bring the sound to {level} percent",
        ),
        ("move the volume to {level}", "could the volume be {level}", "adjust the sound level to {level}"),
    ),
    Intent(
        "call",
        {"name": "person"},
        (
            "call {name}",
            "phone {name} please",
            "I want to talk to {name}",
            "ring {name}",
            "start a call with {name}",
            "could you call {name} for me",
            "get {name} on the phone",
            "please dial {name}",
        ),
        ("I need to speak with {name} on the phone", "make a phone call to {name}", "put me through to {name}"),
    ),
    Intent(
        "message",
        {"name": "person", "text": "text"},
        (
            "tell {name} {text}",
            "text {name}: {text}",
            "send {name} a message: {text}",
            "write to {name} that {text}",
            "message {name} saying {text}",
            "let {name} know {text}",
            "send a note to {name}: {text}",
            "please text {name} that {text}",
        ),
        ("drop {name} a line: {text}", "could you write {name}: {text}", "send word to {name} that {text}"),
    ),
    Intent(
        "shopping",
        {"item": "item", "count": "count"},
        (
            "add {count} {item} to the shopping list",
            "put {count} {item} on my list",
            "we need {count} {item} from the store",
            "shopping list: {count} {item}",
            "buy {count} {item}",
            "please note {count} {item} for shopping",
            "remember to buy {count} {item}",
            "get {count} {item} on the list",
        ),
        ("write {count} {item} on the shopping list", "the list needs {count} {item}", "I should buy {count} {item}"),
    ),
    Intent(
        "weather",
        {"city": "city", "day": "day"},
        (
            "what is the weather in {city} on {day}",
            "weather for {city} {day}",
            "will it rain in {city} on {day}",
            "how is {city} going to be on {day}",
            "forecast for {city} on {day} please",
            "is it sunny in {city} {day}",
            "tell me the weather in {city} for {day}",
            "{day} weather in {city}",
        ),
        (
            "how warm does {city} get on {day}",
            "give me the {day} forecast of {city}",
            "what will {day} be like in {city}",
        ),
    ),
    Intent(
        "heating",
        {"room": "room", "degrees": "degrees"},
        (
            "set the {room} to {degrees} degrees",
            "heat the {room} to {degrees}",
            "make the {room} {degrees} degrees warm",
            "{room} temperature {degrees}",
            "I want {degrees} degrees in the {room}",
            "warm the {room} up to {degrees} degrees",
            "please bring the {room} to {degrees} degrees",
            "turn the heating in the {room} to {degrees}",
        ),
        (
            "keep the {room} at {degrees} degrees",
            "the {room} should have {degrees} degrees",
            "change the heating of the {room} to {degrees}",
        ),
    ),
    Intent(
        "navigate",
        {"place": "place", "mode": "mode"},
        (
            "take me to {place} by {mode}",
            "navigate to {place} by {mode}",
            "how do I get to {place} by {mode}",
            "the way to {place} by {mode} please",
            "route to {place} with the {mode}",
            "I want to go to {place} by {mode}",
            "show me the way to {place} by {mode}",
            "bring me to {place} by {mode}",
        ),
        ("which way is {place} by {mode}", "find a route to {place} by {mode}", "I have to reach {place} by {mode}"),
    ),
    Intent(
        "translate",
        {"word": "word", "language": "language"},
        (
            "how do you say {word} in {language}",
            "translate {word} into {language}",
            "what is {word} in {language}",
            "{word} in {language} please",
            "give me the {language} word for {word}",
            "I need {word} in {language}",
            "say {word} in {language}",
            "what do they call {word} in {language}",
        ),
        (
            "tell me how {word} is called in {language}",
            "put {word} into {language}",
            "could you translate {word} to {language}",
        ),
    ),
    Intent(
        "reminder",
        {"text": "chore", "day": "day"},
        (
            "remind me to {text} on {day}",
            "on {day} I have to {text}",
            "make a reminder to {text} on {day}",
            "do not let me forget to {text} on {day}",
            "please remind me on {day} to {text}",
            "set a reminder for {day}: {text}",
            "I must {text} on {day}",
            "remember that I want to {text} on {day}",
        ),
        (
            "note for {day} that I should {text}",
            "give me a reminder on {day} to {text}",
            "help me remember to {text} on {day}",
        ),
    ),
    Intent(
        "meeting",
        {"name": "person", "day": "day", "time": "time"},
        (
            "schedule a meeting with {name} on {day} at {time}",
            "meet {name} on {day} at {time}",
            "put {name} in my calendar for {day} at {time}",
            "plan a meeting with {name}, {day} {time}",
            "I see {name} on {day} at {time}",
            "book {name} for {day} at {time}",
            "add a meeting with {name} on {day} at {time}",
            "{day} at {time} I meet {name}",
        ),
        (
            "arrange to meet {name} on {day} at {time}",
            "my meeting with {name} is on {day} at {time}",
            "set up a date with {name} on {day} at {time}",
        ),
    ),
    Intent(
        "convert",
        {"amount": "amount", "unit": "unit"},
        (
            "convert {amount} {unit}",
            "how much is {amount} {unit} in metric",
            "what is {amount} {unit} in metric units",
            "{amount} {unit} in metric please",
            "change {amount} {unit} to metric",
            "give me {amount} {unit} in metric",
            "turn {amount} {unit} into metric",
            "I need {amount} {unit} as a metric value",
        ),
        (
            "work out {amount} {unit} in metric",
            "could you convert {amount} {unit} for me",
            "what are {amount} {unit} in the metric system",
        ),
    ),
    Intent(
        "channel",
        {"channel": "channel"},
        (
            "switch to the {channel} channel",
            "put on the {channel} channel",
            "show me the {channel} channel",
            "I want to watch the {channel} channel",
            "change to {channel} on the television",
            "television to {channel} please",
            "go to the {channel} channel",
            "turn the television to {channel}",
        ),
        (
            "let me see the {channel} channel",
            "open the {channel} channel on the television",
            "could we watch the {channel} channel",
        ),
    ),
)
