//! Articles that read as if somebody had written them, from a seeded generator.
//!
//! A [`Topic`] gives the words, the sentences below give the voice. Nothing here is random in the strict sense: the same
//! seed writes the same site, so that screenshots and tests can be compared.

/// A small generator of pseudo-random numbers (SplitMix64). Good enough to shuffle sentences, and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        match n {
            0 => 0,
            n => (self.next() % n as u64) as usize,
        }
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of several.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// `count` different ones, in any order.
    pub(crate) fn some<T: Clone>(&mut self, of: &[T], count: usize) -> Vec<T> {
        let mut left: Vec<T> = of.to_vec();
        (0..count.min(left.len()))
            .map(|_| left.swap_remove(self.below(left.len())))
            .collect()
    }
}

/// What an article is about, and the words for it.
pub(crate) struct Topic {
    pub(crate) tag: &'static str,
    also: &'static [&'static str],
    doing: &'static str,
    thing: &'static str,
    things: &'static str,
    tool: &'static str,
    stuff: &'static str,
    place: &'static str,
    /// The place with the word that goes before it.
    at: &'static str,
    teacher: &'static str,
    mistake: &'static str,
}

pub(crate) const TOPICS: &[Topic] = &[
    Topic {
        tag: "bread",
        also: &["kitchen", "slow food"],
        doing: "baking bread",
        thing: "loaf",
        things: "loaves",
        tool: "a cast-iron pot",
        stuff: "rye flour",
        place: "a kitchen the size of a wardrobe",
        at: "in a kitchen the size of a wardrobe",
        teacher: "a retired baker in Ghent",
        mistake: "adding flour whenever the dough felt wet",
    },
    Topic {
        tag: "gardening",
        also: &["outdoors", "seasons"],
        doing: "keeping a garden",
        thing: "bed of beans",
        things: "seedlings",
        tool: "a hand fork",
        stuff: "leaf mould",
        place: "the strip of earth behind the garages",
        at: "on the strip of earth behind the garages",
        teacher: "the woman two allotments down",
        mistake: "digging because it was Saturday",
    },
    Topic {
        tag: "bicycles",
        also: &["repair", "travel"],
        doing: "mending bicycles",
        thing: "wheel",
        things: "wheels",
        tool: "a spoke key",
        stuff: "chain oil",
        place: "the workshop under the railway arch",
        at: "in the workshop under the railway arch",
        teacher: "a mechanic who never hurried",
        mistake: "tightening everything at once",
    },
    Topic {
        tag: "astronomy",
        also: &["night sky", "outdoors"],
        doing: "watching the sky",
        thing: "double star",
        things: "galaxies",
        tool: "a pair of old binoculars",
        stuff: "red torchlight",
        place: "the flat roof above my stairwell",
        at: "on the flat roof above my stairwell",
        teacher: "a school caretaker with a telescope",
        mistake: "looking for what the photographs show",
    },
    Topic {
        tag: "rust",
        also: &["programming", "craft"],
        doing: "writing Rust",
        thing: "type",
        things: "lifetimes",
        tool: "the compiler",
        stuff: "borrowed text",
        place: "a desk with one good lamp",
        at: "at a desk with one good lamp",
        teacher: "a colleague who reads errors to the end",
        mistake: "cloning until it compiled",
    },
    Topic {
        tag: "databases",
        also: &["programming", "craft"],
        doing: "designing tables",
        thing: "index",
        things: "queries",
        tool: "the query plan",
        stuff: "made-up data",
        place: "the quiet end of the office",
        at: "at the quiet end of the office",
        teacher: "a woman who had kept one database alive for twenty years",
        mistake: "adding an index for every complaint",
    },
    Topic {
        tag: "woodwork",
        also: &["craft", "repair"],
        doing: "working wood",
        thing: "joint",
        things: "dovetails",
        tool: "a block plane",
        stuff: "green ash",
        place: "the cold half of the garage",
        at: "in the cold half of the garage",
        teacher: "a boat builder with nine fingers",
        mistake: "sanding what I should have cut again",
    },
    Topic {
        tag: "birds",
        also: &["outdoors", "seasons"],
        doing: "watching birds",
        thing: "wren",
        things: "swifts",
        tool: "a cheap notebook",
        stuff: "sunflower hearts",
        place: "the bench by the sewage works",
        at: "on the bench by the sewage works",
        teacher: "a postman on his day off",
        mistake: "walking when I should have stood still",
    },
    Topic {
        tag: "chess",
        also: &["games", "patience"],
        doing: "playing chess",
        thing: "endgame",
        things: "rook endings",
        tool: "a clock with a loud tick",
        stuff: "lost positions",
        place: "the back room of a café",
        at: "in the back room of a café",
        teacher: "an opponent who apologised before every check",
        mistake: "moving because I saw a move",
    },
    Topic {
        tag: "letters",
        also: &["craft", "paper"],
        doing: "setting type",
        thing: "page",
        things: "margins",
        tool: "a composing stick",
        stuff: "cotton paper",
        place: "a cellar that smells of ink",
        at: "in a cellar that smells of ink",
        teacher: "a printer who set hymn books",
        mistake: "choosing the typeface first",
    },
    Topic {
        tag: "walking",
        also: &["travel", "outdoors"],
        doing: "walking long distances",
        thing: "path",
        things: "miles",
        tool: "a paper map",
        stuff: "cold tea",
        place: "the ridge above the reservoir",
        at: "on the ridge above the reservoir",
        teacher: "a shepherd who measured distance in dogs",
        mistake: "carrying what I feared to need",
    },
    Topic {
        tag: "music",
        also: &["practice", "patience"],
        doing: "learning the cello",
        thing: "scale",
        things: "slow scales",
        tool: "a metronome",
        stuff: "rosin",
        place: "the spare room with the bad carpet",
        at: "in the spare room with the bad carpet",
        teacher: "a teacher who stopped me after four bars",
        mistake: "playing the easy half twice",
    },
    Topic {
        tag: "pottery",
        also: &["craft", "practice"],
        doing: "throwing pots",
        thing: "bowl",
        things: "bowls",
        tool: "a bent wooden rib",
        stuff: "stoneware clay",
        place: "a shed with a kiln and no window",
        at: "in a shed with a kiln and no window",
        teacher: "a potter who breaks every tenth piece",
        mistake: "pulling the walls before the clay was centred",
    },
    Topic {
        tag: "maps",
        also: &["travel", "paper"],
        doing: "drawing maps",
        thing: "contour",
        things: "coastlines",
        tool: "a steel pen",
        stuff: "tracing paper",
        place: "the reading room of the county archive",
        at: "in the reading room of the county archive",
        teacher: "a surveyor who paced out his own street",
        mistake: "drawing what I knew in place of what I saw",
    },
    Topic {
        tag: "sailing",
        also: &["travel", "outdoors"],
        doing: "sailing small boats",
        thing: "dinghy",
        things: "tides",
        tool: "a tide table",
        stuff: "wet rope",
        place: "an estuary that empties twice a day",
        at: "on an estuary that empties twice a day",
        teacher: "a ferryman who talked to the wind",
        mistake: "arguing with the tide",
    },
    Topic {
        tag: "wine",
        also: &["slow food", "seasons"],
        doing: "making wine",
        thing: "demijohn",
        things: "demijohns",
        tool: "a length of siphon tube",
        stuff: "wild yeast",
        place: "the coolest corner of the cellar",
        at: "in the coolest corner of the cellar",
        teacher: "a neighbour with a single row of vines",
        mistake: "tasting every second day",
    },
    Topic {
        tag: "languages",
        also: &["practice", "travel"],
        doing: "learning Finnish",
        thing: "word",
        things: "verbs",
        tool: "a pocket dictionary",
        stuff: "half-understood radio",
        place: "the last seat of the number nine tram",
        at: "in the last seat of the number nine tram",
        teacher: "a grandmother who pretended not to know English",
        mistake: "learning lists",
    },
    Topic {
        tag: "photography",
        also: &["paper", "travel"],
        doing: "photographing on film",
        thing: "negative",
        things: "negatives",
        tool: "a waist-level camera",
        stuff: "expired film",
        place: "a bathroom with towels over the window",
        at: "in a bathroom with towels over the window",
        teacher: "a wedding photographer on his last wedding",
        mistake: "pressing the shutter to be done with it",
    },
    Topic {
        tag: "tea",
        also: &["kitchen", "patience"],
        doing: "brewing tea",
        thing: "pot",
        things: "second infusions",
        tool: "a lidded bowl",
        stuff: "rolled oolong",
        place: "the kitchen before anyone else is up",
        at: "in the kitchen before anyone else is up",
        teacher: "a shopkeeper who would not sell me the dear one",
        mistake: "pouring boiling water on everything",
    },
    Topic {
        tag: "knitting",
        also: &["craft", "repair"],
        doing: "knitting",
        thing: "sleeve",
        things: "sleeves",
        tool: "a pair of thin needles",
        stuff: "undyed wool",
        place: "the waiting rooms of three hospitals",
        at: "in the waiting rooms of three hospitals",
        teacher: "my aunt, who counts in a dialect",
        mistake: "hiding an error two rows further on",
    },
];

const TITLES: &[&str] = &[
    "What a {thing} taught me about waiting",
    "Notes from a year of {doing}",
    "In praise of {tool}",
    "I was wrong about {stuff}",
    "The trouble with {mistake}",
    "A short defence of {doing}",
    "Seven small rules for {doing}",
    "On {things}, and on leaving them alone",
    "{Doing}, badly, on purpose",
    "How I stopped {mistake}",
    "A letter from {place}",
    "Before you buy {tool}",
    "The {thing} nobody asked for",
    "{Doing} when the days are short",
    "Things {teacher} never explained",
    "The second hundred {things}",
    "A kind word for {stuff}",
    "Small {things}, large patience",
    "The quiet economics of {doing}",
    "One {thing} a week",
];

const STANDFIRSTS: &[&str] = &[
    "Everything I know about {doing} I learnt while trying to do something else.",
    "It took {teacher} one sentence to undo three years of habit.",
    "A report from {place}, with some advice that you may ignore.",
    "On the difference between practice and repetition.",
    "Mostly about {stuff}; a little about stubbornness.",
    "You need less than the catalogues say, and more time than you think.",
    "What went wrong, what went right, and which of them I planned.",
    "There are people who find {doing} restful. This is not for them.",
    "Half a confession, half a set of instructions.",
    "For anyone who has ever blamed {tool}.",
    "Eleven evenings, four usable results, and one that I would show to {teacher}.",
    "Some people collect {things}. I collect reasons why they failed.",
    "The opposite of a shortcut, described with affection.",
];

const OPENINGS: &[&str] = &[
    "The first {thing} I was proud of is in a drawer, where nobody has to look at it.",
    "I came to {doing} late, and for the wrong reason: somebody said that I would not have the patience.",
    "Nobody warns you that {doing} is mostly waiting.",
    "Last winter I spent eleven evenings {at}, and had nothing to show for ten of them.",
    "When people ask how I began with {doing}, I tell them a story that is shorter than the truth.",
    "For most of a year I believed that better {stuff} would solve it.",
    "There is a sound that tells you when a {thing} is right, and I cannot describe it.",
    "It rained for nine days, which is how I finally learnt to use {tool}.",
    "I owe the whole of what follows to {teacher}.",
    "My notebook for March has one line in it: start again, slower.",
];

const MIDDLES: &[&str] = &[
    "The books give you the steps in order, as if order were the difficult part.",
    "What they leave out is how long each step may take, and how little it matters.",
    "I had been {mistake}, and I had been doing it with conviction.",
    "From {teacher} I had one remark in two years, and it was about my shoulders.",
    "You can own {tool} for a decade before you notice which hand is doing the work.",
    "Good {stuff} can be bought; {stuff} that you have learnt to forgive cannot.",
    "Most {things} fail in the same three ways, and none of them is interesting.",
    "I keep a list of the failures, with dates, because memory is kind and lists are not.",
    "{At} there is no one to impress, which helps more than the light.",
    "The trick, if it is one, is to stop a moment before you want to.",
    "A friend who knows about these things says that I am describing attention, and she is probably right.",
    "Some evenings go by without a single decision, and those are often the good ones.",
    "It is astonishing how much of skill turns out to be tidiness.",
    "I tried it the fast way again in June, to be fair to my younger self; it was still wrong.",
    "Measure twice is good advice, but nobody says what to do when the two measures differ.",
    "Of the first thirty {things}, four were useful and one was beautiful, and I cannot tell you why.",
    "Cheap {stuff} will teach you quickly; expensive {stuff} will only teach you to be careful.",
    "When it goes well I could not tell you what my hands were doing.",
    "If there is a shortcut I have not found it, and I have looked with great diligence.",
    "The weather has more to say about it than any manual.",
    "You learn to hear the difference before you can see it, and to see it before you can explain it.",
    "It helps to have a neighbour who does it better and does not mention it.",
    "I used to think of {doing} as a way to make things; now I think of the things as what it leaves behind.",
    "Once, out of impatience, I skipped the dull part, and then had three weeks in which to think about it.",
    "Nothing improves a {thing} like being asked to make it again for someone else.",
    "Whoever says that it relaxes them has not done it with an audience.",
    "I have met two people who were born able to do it, and both had been practising since they were six.",
    "Half of what I own for it I do not use, and the other half I use every day.",
    "My rule is to do nothing after ten at night that I would have to undo in the morning.",
    "There is a word for the state in between, but it belongs to another craft.",
    "On bad days I sweep the floor and call it preparation.",
    "It costs very little to begin and rather a lot to stop.",
    "At some point the questions change from how to why, and then, mercifully, back again.",
    "The first dozen taught me what to look at; the second, what to leave alone.",
    "Nobody else {at} would call it progress, but it was.",
    "There was a week when nothing worked, and I still do not know what ended it.",
    "The difference between the fifth and the fiftieth is that you no longer hold your breath.",
    "What looks like talent from across the room is usually somebody who has put {tool} back in the same place every night.",
    "By the time you can name the problem, it has mostly gone.",
    "I wrote down the temperature, the hour and the state of the {stuff}; the hour was the one that mattered.",
];

const ADVICE: &[&str] = &[
    "Begin with less {stuff} than seems sensible.",
    "Put {tool} down before you answer the telephone.",
    "Finish the bad one: the ending is the part that you have practised least.",
    "Work when you are slightly bored, never when you are slightly late.",
    "Throw nothing away in the first year.",
    "Ask someone who stopped why they stopped.",
    "Keep one {thing} from every season, the honest one and not the best.",
    "Look at it again in the morning.",
    "Change one thing at a time, and write down which.",
    "Let it rest; whatever it is, let it rest.",
    "Clean up while you still care.",
    "Do the dull part first, and do it twice.",
];

const QUOTES: &[&str] = &[
    "You are not slow. You are only early, and not used to it.",
    "It will tell you when it is done. Your part is to be in the room.",
    "I never corrected anybody who was still looking.",
    "Anyone can make one. Make the second.",
    "If you can hear yourself working, you are working too hard.",
    "The good ones look as if nobody had been there.",
];

const HEADINGS: &[&str] = &[
    "What I got wrong",
    "The part that nobody shows",
    "A few rules, lightly held",
    "Patience, or something like it",
    "On tools",
    "The second attempt",
    "What it costs",
    "Afterwards",
];

const CLOSINGS: &[&str] = &[
    "Tomorrow I shall do it again, a little slower, and see.",
    "I still have the first one. It has not improved, but I have stopped minding.",
    "If you try it, write to me about the failures; I have enough of the other kind.",
    "None of this is secret. It is only slow, which keeps it nearly as safe.",
    "So that is what I know. It fits on a postcard, and took eleven years.",
    "And if it does not work, you will at least have been {at}, which is not nothing.",
    "The rest, as {teacher} says, is washing up.",
    "I had meant to end with advice, but the kettle is on and the light is good.",
];

const COMMENTS: &[&str] = &[
    "I have been making exactly this mistake for years. Thank you, I think.",
    "The part about stopping a moment early is worth the whole piece.",
    "My grandfather would have said the same, with fewer words and more swearing.",
    "Half of this I agree with, and I am no longer sure which half.",
    "Could you say more about the {stuff}? I never know how much to trust the label.",
    "Read this on the train and missed my stop. Recommended.",
    "I tried your second rule over the weekend. It went badly, but in a new way.",
    "For what it's worth, {tool} makes less of a difference than you would expect.",
    "This is the first thing about {doing} that did not make me feel guilty.",
    "Printed it and pinned it above the bench.",
    "I disagree about the weather, and about nothing else.",
    "How long did the good one take, in the end?",
    "Please write the second part. You have left us standing {at}.",
    "A small correction: there are four ways to fail, and I have found the fourth.",
    "\"It is astonishing how much of skill turns out to be tidiness.\" That one hurt.",
    "Sent this to my sister, who has been saying so since 2009.",
];

/// One article.
pub(crate) struct Written {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) body: String,
    pub(crate) tags: Vec<&'static str>,
}

impl Topic {
    /// Writes about it. `number` chooses the title: twenty numbers in a row give twenty titles.
    pub(crate) fn write(&self, number: usize, dice: &mut Dice) -> Written {
        let mut middles = dice.some(MIDDLES, MIDDLES.len()).into_iter();
        let mut headings = dice.some(HEADINGS, 4).into_iter();
        let mut paragraphs = Vec::new();

        let first: Vec<&str> = [dice.pick(OPENINGS)]
            .into_iter()
            .chain(middles.by_ref().take(2))
            .collect();
        paragraphs.push(self.say(&first));
        for part in 0..2 + dice.below(6) {
            if part > 0
                && dice.once_in(2)
                && let Some(heading) = headings.next()
            {
                paragraphs.push(format!("## {heading}"));
            }
            let length = 2 + dice.below(4);
            let sentences: Vec<&str> = middles.by_ref().take(length).collect();
            if !sentences.is_empty() {
                paragraphs.push(self.say(&sentences));
            }
            match dice.below(6) {
                0 => paragraphs.push(format!("> {}", dice.pick(QUOTES))),
                1 => {
                    let rules = dice.some(ADVICE, 3);
                    let rules: Vec<String> = rules.iter().map(|rule| format!("- {}", self.say(&[rule]))).collect();
                    paragraphs.push(rules.join("\n"));
                }
                _ => {}
            }
        }
        paragraphs.push(self.say(&[dice.pick(CLOSINGS)]));

        let mut tags = vec![self.tag];
        let more = 1 + dice.below(2);
        tags.extend(dice.some(self.also, more));
        // The step is prime to the number of titles, so that neighbours do not sound alike.
        let title = TITLES[(number * 7) % TITLES.len()];
        Written {
            title: self.fill(title),
            description: self.say(&[STANDFIRSTS[(number * 5) % STANDFIRSTS.len()]]),
            body: paragraphs.join("\n\n"),
            tags,
        }
    }

    /// A remark under an article on this topic.
    pub(crate) fn remark(&self, dice: &mut Dice) -> String {
        self.say(&[dice.pick(COMMENTS)])
    }

    fn say(&self, sentences: &[&str]) -> String {
        self.fill(&sentences.join(" "))
    }

    fn fill(&self, text: &str) -> String {
        let article = if self.thing.starts_with(['a', 'e', 'i', 'o', 'u']) {
            "an"
        } else {
            "a"
        };
        let filled = text
            .replace("a {thing}", &format!("{article} {}", self.thing))
            .replace("{doing}", self.doing)
            .replace("{Doing}", &capitalised(self.doing))
            .replace("{thing}", self.thing)
            .replace("{things}", self.things)
            .replace("{tool}", self.tool)
            .replace("{stuff}", self.stuff)
            .replace("{place}", self.place)
            .replace("{at}", self.at)
            .replace("{At}", &capitalised(self.at))
            .replace("{teacher}", self.teacher)
            .replace("{mistake}", self.mistake);
        capitalised(&filled)
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// The authors: name, and what they say of themselves.
pub(crate) const AUTHORS: &[(&str, &str)] = &[
    ("ada", "Keeps three sourdoughs alive and one of them well."),
    ("benedikt", "Surveyor by day. Draws the same hill every spring."),
    ("chiara", "Cellist in an amateur quartet with professional opinions."),
    ("dmitri", "Writes compilers, reads menus."),
    ("eleni", "Potter. Breaks more than she sells."),
    ("farid", "Night buses, day-old bread, and the occasional poem."),
    (
        "grace",
        "Has kept one database running since 2004 and will tell you about it.",
    ),
    ("henrik", "Small boats, large thermos."),
    ("ines", "Photographs car parks. Mostly empty ones."),
    ("jun", "Tea first."),
    ("katya", "Learning her fourth language to avoid finishing the third."),
    ("liam", "Repairs what you were going to throw away."),
    ("mbali", "Allotment 14b. Beans, mostly."),
    ("noor", "Chess, slowly, and only by post."),
    (
        "oskar",
        "Teaches woodwork to people who have lost an argument with a shelf.",
    ),
    ("priya", "Astronomer without a dome."),
    ("quentin", "Sets type by hand because the other way is too easy."),
    ("rosa", "Walks until there is a bakery."),
    ("søren", "Knits on trains. Has opinions about trains."),
    ("tomás", "One row of vines, no plans."),
];
