"""`tuiwiz plan`: will it fit, how long does it take, and which settings fit instead. Needs no GPU and no weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tuiwiz.base.price import Price
    from tuiwiz.catalog.gpus import Device
    from tuiwiz.catalog.shapes import ModelShape
    from tuiwiz.memory.plan import Plan
    from tuiwiz.spec.bundle import Bundle

BAR = 12
ROWS = 14


def register(app: typer.Typer) -> None:
    @app.command("plan")
    def plan(
        bundle: Path | None = typer.Argument(None, help="The bundle file. Left out: --model and --task."),
        model: str = typer.Option("", "--model", help="A model folder, hub id, known name, or only a size such as 8B."),
        task: str = typer.Option(
            "", "--task", help="chat, instruct, pretrain, classify, dpo, orpo, simpo, kto or reward."
        ),
        method: str = typer.Option("", "--method", help="qlora (left out), lora, full or freeze."),
        gpu: str = typer.Option("", "--gpu", help="Plan for this card, by name or GiB. Left out: this machine."),
        price: str = typer.Option(
            "", "--price", help='What time costs: "0.30 EUR/kWh", or "2.49 USD/h". Left out: [energy] of config.toml.'
        ),
        by: str = typer.Option("", "--by", metavar="HH:MM", help="Be finished by then: how many steps that leaves."),
        sets: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a value before planning."),
        simulate: bool = typer.Option(False, "--simulate", help="Check the memory by simulating a step; some seconds."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Say whether a run fits, item by item, and list the settings that do, fastest first."""
        from tuiwiz.base.errors import UsageError
        from tuiwiz.base.price import parse_price
        from tuiwiz.cli.output import emit_json

        paid = parse_price(price) if price else None
        sets = [*sets, f'schedule.stop_by="{by}"'] if by else sets
        if bundle is not None:
            if model or task or method:
                raise UsageError("a bundle names model, task and method itself", hint="use --set to change a value")
            found = _of_bundle(bundle, gpu, sets, paid, simulate=simulate)
        else:
            if not model:
                raise UsageError("nothing to plan", hint="tuiwiz plan BUNDLE, or tuiwiz plan --model 8B --task chat")
            found = _of_model(model, task or "instruct", method, gpu, sets, paid, simulate=simulate)
        if as_json:
            emit_json(found)
        else:
            _show(found)


def _of_bundle(path: Path, gpu: str, sets: list[str], price: Price | None, *, simulate: bool) -> Plan:
    import msgspec

    from tuiwiz.base.errors import MachineLacksError
    from tuiwiz.bundle.change import apply_sets
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.catalog.sources import locate
    from tuiwiz.data.profile import profile, training_rows
    from tuiwiz.memory.plan import plan
    from tuiwiz.runs.folder import start_of

    bundle, folder = apply_sets(read_bundle(path), sets), start_of(path)
    located = locate(bundle.model.source, bundle.model.revision, folder)
    if located.shape is None:
        raise MachineLacksError(
            f"nothing is known of {bundle.model.source} on this machine",
            hint="`tuiwiz models get` fetches it; a size such as 8B can be planned without",
        )
    read = profile(bundle, folder, located.folder)
    device = _device(gpu)
    rows = training_rows(bundle, read.rows)
    found = plan(bundle, located.shape, device, read.lengths, rows, price=price)
    if simulate:
        longest = read.lengths["max"] if read.lengths else None
        found = _with_simulation(found, bundle, located.shape, device, longest, located.folder)
    return msgspec.structs.replace(found, notes=(*found.notes, read.note)) if read.note else found


def _with_simulation(
    found: Plan, bundle: Bundle, shape: ModelShape, device: Device, longest: int | None, model: Path | None
) -> Plan:
    """The plan with a simulation of the bundle's own setting beside it."""
    import tempfile

    import msgspec

    from tuiwiz.memory.setting import setting_of
    from tuiwiz.memory.simulation import JOB, job_arguments, read_results
    from tuiwiz.runs.launch import run_job

    settings = [setting_of(bundle, device, longest, grouped=shape.grouped)]
    with tempfile.TemporaryDirectory(prefix="tuiwiz-") as scratch:
        answer = run_job(JOB, Path(scratch), job_arguments(settings, shape, model))
    simulated = read_results(answer["results"], settings, shape, device)[0]
    return msgspec.structs.replace(found, simulated=simulated)


def _of_model(
    model: str, task: str, method: str, gpu: str, sets: list[str], price: Price | None, *, simulate: bool
) -> Plan:
    """The plan of what the wizard would compose with no data known yet."""
    import msgspec

    from tuiwiz.base.errors import InvalidError, MachineLacksError
    from tuiwiz.bundle.change import parse_set
    from tuiwiz.cli.new import check_words
    from tuiwiz.memory.cost import money
    from tuiwiz.wizard.compose import Answers, compose
    from tuiwiz.wizard.facts import Facts, model_facts

    known = model_facts(model, None, Path())
    if known.shape is None:
        raise MachineLacksError(f"nothing is known of {model} on this machine", hint="plan with a size, such as 8B")
    answers = Answers(
        task=task, model=model, method=method or None, gpu=gpu or None, sets=dict(parse_set(text) for text in sets)
    )
    check_words(answers)
    facts = Facts(shape=known.shape, model_chosen=known.chosen, device=_device(gpu))
    composed = compose(answers, facts)
    # That there is no data yet is no problem here; a wish that is left out would be.
    problems = [one for one in composed.problems if one.severity == "error" and one.key != "data.train"]
    if composed.plan is None or problems:
        message = problems[0].message if problems else f"{method} cannot be planned yet"
        raise InvalidError(message, problems=problems)
    notes = (known.note, *composed.plan.notes) if known.note else composed.plan.notes
    found = msgspec.structs.replace(composed.plan, choices=composed.choices or composed.plan.choices, notes=notes)
    if price is not None:
        paid = money(price, found.energy_kwh, found.seconds)
        found = msgspec.structs.replace(found, money=paid, currency=price.currency)
    if simulate and facts.device is not None:
        found = _with_simulation(found, composed.bundle, known.shape, facts.device, None, known.folder)
    return found


def _device(gpu: str) -> Device:
    from tuiwiz.catalog.gpus import find_device
    from tuiwiz.catalog.machine import this_device

    return find_device(gpu) if gpu else this_device()


def _show(plan: Plan) -> None:
    from tuiwiz.base.units import gib, human_bytes
    from tuiwiz.cli.output import say
    from tuiwiz.memory.cost import budget_words
    from tuiwiz.memory.plan import cost_words, simulation_words, time_words

    words = {"fits": "It fits", "tight": "It is tight", "no": "It does not fit"}[plan.verdict]
    spare = plan.usable_bytes - plan.total_bytes
    room = f"{gib(spare)} to spare" if spare >= 0 else f"{gib(-spare)} too much"
    time = time_words(plan)
    each = f", each of {plan.processes} processes" if plan.processes > 1 else ""
    say(f"{plan.model} on {plan.device}{each}")
    say(f"{words}: {gib(plan.total_bytes)} of {gib(plan.usable_bytes)} usable, {room}{'; ' + time if time else ''}")
    say(f"  between {gib(plan.low_bytes)} and {gib(plan.high_bytes)}, limited by {plan.limiting}")
    if cost := cost_words(plan):
        say(f"  {cost}")
    if plan.budget is not None:
        say(f"  {budget_words(plan.budget)}")
    elif plan.seconds_per_step is None:
        say(f"  no time, energy or steps until an end: {plan.why}")
    if plan.corrected:
        say(f"  {plan.corrected}")
    if plan.simulated is not None:
        say(f"  {simulation_words(plan.simulated)}")
    for other in plan.others:
        say(f"  {other}")
    say()
    largest = max(plan.items.values())
    for name, size in plan.items.items():
        if size:
            bar = "#" * max(1, round(BAR * size / largest))
            say(f"  {name.replace('_', ' '):<23}{human_bytes(size):>11}  {bar}")
    say(f"  {'disk, for checkpoints':<23}{human_bytes(plan.disk_bytes):>11}")
    say()
    say(f"  {'method':<8}{'length':>7}  {'micro x accum':>13}  {'ckpt':<4} {'memory':>10} {'tokens/s':>9}")
    for choice in plan.choices[:ROWS]:
        speed = f"{choice.tokens_per_second:,.0f}" if choice.tokens_per_second else "-"
        batch = f"{choice.micro_batch} x {choice.accumulation}"
        on = "on" if choice.gradient_checkpointing else "off"
        head = f"  {choice.method:<8}{choice.max_length:>7,}  {batch:>13}  {on:<4}"
        line = f"{head} {gib(choice.total_bytes):>10} {speed:>9}"
        say(line if choice.fits else f"{line}  no")
    if plan.next_step:
        say()
        say(f"Next: {plan.next_step}")
    for note in plan.notes:
        say(f"Note: {note}")
