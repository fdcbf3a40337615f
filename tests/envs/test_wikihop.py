"""The generated encyclopedia and the prose suite: worlds, questions, library, checks and baselines."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_gym.core.action import Action
from trace_gym.core.errors import UnknownName
from trace_gym.core.task import Split, Task
from trace_gym.environment.registry import Suite
from trace_gym.environment.tasks import straddling
from trace_gym.environment.trial import Plan
from trace_gym_envs.wikihop import names
from trace_gym_envs.wikihop.assignment import Assignment, world_library
from trace_gym_envs.wikihop.kinds import KINDS, symbol
from trace_gym_envs.wikihop.library import Article, Library
from trace_gym_envs.wikihop.prose import ask
from trace_gym_envs.wikihop.question import Question, count_chains, draw
from trace_gym_envs.wikihop.relations import RELATIONS
from trace_gym_envs.wikihop.scoring import exact_match, f1, normalise
from trace_gym_envs.wikihop.suite import WikiHop
from trace_gym_envs.wikihop.world import LEVELS, MAX_LINKS, world, world_names

WORLD = "standard-test-00"
TASKS = WikiHop.tasks(Split.TEST)


def opened(task: Task) -> tuple[WikiHop, str, dict[str, Any]]:
    env = WikiHop()
    observation, info = env.reset(options={"task": task})
    return env, observation, info


def statuses(info: dict[str, Any]) -> dict[str, str]:
    return {verdict.name: verdict.status.value for verdict in info["verdicts"]}


# Words and worlds.


def test_no_two_worlds_share_a_word() -> None:
    drawn = [word for number in (0, 1, 57, names.WORLDS - 1) for word in names.words(number)]
    assert len(set(drawn)) == len(drawn)
    with pytest.raises(ValueError, match=r"0\.\.119, got 120"):
        names.words(names.WORLDS)


def test_every_level_has_a_word_share_large_enough_for_all_its_worlds() -> None:
    for level in LEVELS:
        for name in (world_names(Split.TRAIN, level)[0], world_names(Split.TEST, level)[-1]):
            assert len(world(name).entities) == LEVELS[level].entities


def test_symbols_of_the_schema_are_all_different() -> None:
    phrases = [phrase for relation in RELATIONS for phrase in relation.phrases]
    traits = [symbol(trait) for kind in KINDS for trait in kind.traits]
    assert len({phrase.symbol for phrase in phrases} | set(traits)) == len(phrases) + len(traits)
    assert len({phrase.clause for phrase in phrases}) == len(phrases)


def test_a_world_is_a_function_of_its_name() -> None:
    once, again = world(WORLD), world.__wrapped__(WORLD)
    assert once is not again
    assert (once.entities, once.links, once.namesakes) == (again.entities, again.links, again.namesakes)


def test_articles_have_own_titles_and_links_of_the_right_kind() -> None:
    here = world(WORLD)
    assert len({entity.title for entity in here.entities}) == len(here.entities)
    aliases = [entity.alias for entity in here.entities if entity.alias]
    assert len({*aliases, *here.namesakes}) == len(aliases) + len(here.namesakes)
    for entity, links in zip(here.entities, here.links, strict=True):
        assert len(links) <= MAX_LINKS
        assert len({link.target for link in links} - {entity.number}) == len(links)
        for link in links:
            if link.relation is not None:
                relation = RELATIONS[link.relation]
                assert relation.subject == KINDS[entity.kind].noun
                assert relation.object == KINDS[here.entities[link.target].kind].noun


def test_namesakes_differ_in_what_qualifies_them() -> None:
    here = world(WORLD)
    shared = [group for group in here.namesakes.values() if len(group) > 1]
    assert sum(map(len, shared)) > 0.3 * len(here.entities)
    for group in shared:
        looks = {(here.entities[e].kind, here.entities[e].trait) for e in group}
        assert len(looks) == len(group)


def test_an_unknown_world_or_level_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'standard-test-03'"):
        world("standard-tst-03")
    with pytest.raises(UnknownName, match="did you mean 'gentle'"):
        WikiHop.tasks(Split.TEST, level="gentl")


# Questions.


@pytest.mark.parametrize("level", ["gentle", "standard", "hard"])
def test_exactly_one_chain_fits_a_question(level: str) -> None:
    name = world_names(Split.TEST, level)[0]
    here = world(name)
    for number in range(150):
        question = draw(name, number)
        assert len(question.hops) == number % 5 + 1
        assert len(set(question.chain)) == len(question.chain) == len(question.hops) + 1
        assert count_chains(here, question.chain[0], question.hops) == 1
        for source, target, hop in zip(question.chain, question.chain[1:], question.hops, strict=False):
            found = [link for link in here.links[source] if link.target == target]
            assert hop.fits(found[0], here.entities[target].trait)
        assert Question.of(question.payload()) == question


def test_questions_in_words() -> None:
    here = world(WORLD)
    question = draw(WORLD, 1)
    start, first, second = question.chain[0], *question.hops
    text = ask(here, question)
    entity = here.entities[start]
    shown = (
        f"the {entity.trait_phrase} {entity.name}" if len(here.namesakes[entity.name]) > 1 else entity.name
    )
    inner = RELATIONS[first.relation].phrases[first.phrase].clause.format(s=shown)
    outer = RELATIONS[second.relation].phrases[second.phrase].clause.split("{s}")[0]
    assert text.startswith("Which ")
    assert text.endswith(f" {inner}?")
    assert outer in text


def test_tasks_are_many_stable_and_split_by_world() -> None:
    train, test = WikiHop.tasks(Split.TRAIN), TASKS
    assert (len(train), len(test)) == (48_000, 18_000)
    assert len({task.family for task in test[:500]}) >= 12
    assert straddling(train[:200], test[:200]) == ()
    assert train[47_999] == WikiHop.tasks(Split.TRAIN)[-1]
    ids = [task.id for task in test[:3000]]
    assert len(set(ids)) == 3000
    assert Counter(task.subset for task in test[:600]) == {f"{hops}-hop": 120 for hops in range(1, 6)}


def test_a_subset_holds_one_length_alone() -> None:
    part = WikiHop.tasks(Split.TEST, subset="3-hop")
    assert len(part) == len(TASKS) // 5
    assert {task.subset for task in part[:100]} == {"3-hop"}
    assert len({task.id for task in part}) == len(part)
    with pytest.raises(UnknownName, match="did you mean '3-hop'"):
        WikiHop.tasks(Split.TEST, subset="3hop")


# Baselines: what the links are needed for.


def test_answers_cannot_be_found_without_following_links() -> None:
    tasks = [TASKS[i] for i in range(600)]
    answers: Counter[str] = Counter()
    best = first_new = among_five = 0
    for task in tasks:
        given_task = Assignment.of(task)
        asked = normalise(given_task.question)
        found = given_task.library.search(given_task.question)
        right = [exact_match(article.name, given_task.answers) for article in found]
        new = [ok for ok, article in zip(right, found, strict=True) if normalise(article.name) not in asked]
        best += right[:1] == [True]
        first_new += new[:1] == [True]
        among_five += any(right)
        answers[given_task.answers[0]] += 1
    assert best <= 0.01 * len(tasks)
    assert first_new <= 0.01 * len(tasks)
    assert among_five <= 0.03 * len(tasks)
    assert answers.most_common(1)[0][1] <= 0.01 * len(tasks)


def test_answers_are_balanced_over_kinds_and_entities() -> None:
    questions = [draw(WORLD, number) for number in range(900)]
    here = world(WORLD)
    kinds = Counter(here.entities[question.chain[-1]].kind for question in questions)
    assert set(kinds.values()) == {150}
    assert Counter(question.chain[-1] for question in questions).most_common(1)[0][1] <= 8


# The library.


def small_library() -> Library:
    return Library(
        [
            Article("Oak (tree)", "Oak", "Oak is a tree.", "It is hard."),
            Article("Oak (town)", "Oak", "Oak is a town.", "Its mayor is [[Ann Lee]]."),
            Article("Ann Lee", "Ann Lee", "Ann Lee is a person.", "She planted an oak."),
        ]
    )


def test_search_ranks_titles_above_texts_and_ignores_common_words() -> None:
    library = small_library()
    assert [a.title for a in library.search("who is the mayor of Oak?", limit=1)] == ["Oak (town)"]
    assert [a.title for a in library.search("OAK")][-1] == "Ann Lee"
    assert library.search("zebra") == []
    assert [a.title for a in library.search("the")] == []
    assert library.search("?!") == []


@given(st.text(max_size=60))
def test_any_text_can_be_searched_for(text: str) -> None:
    assert len(SMALL.search(text)) <= 3


SMALL = small_library()


def test_titles_are_found_whatever_their_case_and_names_tell_their_bearers() -> None:
    found = SMALL.find("  oak  (TREE)")
    assert found is not None
    assert found.title == "Oak (tree)"
    assert SMALL.find("Oak") is None
    assert SMALL.bearers("oak") == ("Oak (town)", "Oak (tree)")
    with pytest.raises(ValueError, match="must differ"):
        Library([Article("A", "A", "", ""), Article("a", "a", "", "")])


def test_one_library_serves_many_threads() -> None:
    library = world_library(WORLD)
    queries = [entity.name for entity in world(WORLD).entities[:200]]
    alone = [library.search(query) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(library.search, queries)) == alone


# Scoring.


@pytest.mark.parametrize(
    ("answer", "gold", "exact", "score"),
    [
        ("The Eiffel Tower!", "eiffel tower", True, 1.0),
        ("tower", "the Eiffel Tower", False, 2 / 3),
        ("a b b", "b b c", False, 1.0 * 2 * 2 / (2 + 3)),
        ("yes", "Yes.", True, 1.0),
        ("yes it is", "yes", False, 0.0),
        ("no", "yes", False, 0.0),
        ("", "x", False, 0.0),
        ("the", "an", True, 1.0),
    ],
)
def test_exact_match_and_f1(answer: str, gold: str, exact: bool, score: float) -> None:
    assert exact_match(answer, [gold]) is exact
    assert f1(answer, [gold]) == pytest.approx(score)
    assert f1(answer, ["something else entirely", gold]) == pytest.approx(score)


# The suite.


def test_the_oracle_reads_the_chain_and_answers() -> None:
    for task in TASKS[:60]:
        env, observation, info = opened(task)
        hops = len(task.payload["hops"])
        assert observation.endswith("?")
        assert statuses(info) == {**{f"hop_{i}": "fail" for i in range(1, hops + 1)}, "answer": "skipped"}
        for hop in range(1, hops + 1):
            _, reward, terminated, _, info = env.step(env.oracle())
            assert (reward, terminated, statuses(info)[f"hop_{hop}"]) == (0.0, False, "pass")
        _, reward, terminated, _, info = env.step(env.oracle())
        assert (reward, terminated, info["success"]) == (1.0, True, True)
        assert env.oracle() is None


def test_the_oracle_recovers_from_any_state() -> None:
    task = WikiHop.tasks(Split.TEST, subset="4-hop")[0]
    env, _, _ = opened(task)
    here = world(task.payload["world"])
    env.step(Action.call("read", title=here.entities[task.payload["chain"][2]].title))
    env.step(Action.call("search", query="mayor"))
    done, reward, turns = False, 0.0, 0
    while not done:
        _, reward, done, _, _ = env.step(env.oracle())
        turns += 1
    assert (reward, turns) == (1.0, 4)


def test_a_fact_stands_in_its_article_and_the_evidence_quotes_it() -> None:
    for task in TASKS[:60]:
        env, _, _ = opened(task)
        text, _, _, _, info = env.step(env.oracle())
        evidence = info["verdicts"][0].evidence
        assert evidence.startswith("read: ")
        assert evidence.split("(", 1)[1].removesuffix(")").rsplit(" (", 1)[-1] in text


def test_an_alias_in_an_article_can_be_searched_for() -> None:
    here, library = world(WORLD), world_library(WORLD)
    mentioned = [link.target for links in here.links for link in links if link.by_alias]
    for number in islice(mentioned, 0, 400, 8):
        entity = here.entities[number]
        assert entity.alias is not None
        assert entity.title in [article.title for article in library.search(entity.alias)]
        assert library.find(entity.alias) is None


def test_reading_an_ambiguous_or_unknown_title() -> None:
    env, _, _ = opened(TASKS[0])
    here = world(TASKS[0].family)
    name, group = next((name, group) for name, group in here.namesakes.items() if len(group) > 1)
    listed, *_ = env.step(Action.call("read", title=name))
    assert listed.splitlines()[1:] == [
        f"- {title}" for title in sorted(here.entities[e].title for e in group)
    ]
    assert (
        env.step(Action.call("read", title="nothing"))[0]
        == "There is no article titled 'nothing'. Search for it."
    )
    bracketed, *_ = env.step(Action.call("read", title=f"[[{here.entities[group[0]].title}]]"))
    assert bracketed.startswith(here.entities[group[0]].title)
    assert env.step(Action.call("search", query="zzz"))[0] == "No article matches 'zzz'."


def test_a_wrong_answer_ends_the_episode_and_title_or_alias_are_accepted() -> None:
    task = next(t for t in TASKS[:200] if len(Assignment.of(t).answers) == 3)
    for text, worth in [*((answer, 1.0) for answer in Assignment.of(task).answers), ("Nobody", 0.0)]:
        env, _, _ = opened(task)
        _, reward, terminated, _, info = env.step(Action.call("answer", text=text))
        assert (reward, terminated, info["success"]) == (worth, True, worth == 1.0)


def test_without_an_answer_the_turns_run_out_undecided() -> None:
    env, _, info = opened(TASKS[0])
    truncated = False
    while not truncated:
        _, reward, terminated, truncated, info = env.step("hello")
        assert (reward, terminated) == (0.0, False)
    assert (info["turn"], info["success"]) == (8, None)


def test_certified(certify_suite: Any) -> None:
    suite = Suite("wikihop", "wikihop", WikiHop)
    certify_suite(suite, Plan(tasks=8, episodes=30, forks=15, fuzz=400, scan=300))
