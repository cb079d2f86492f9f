"""Key bindings as data: one registry feeds the footer, the command palette, the help screen and `App.set_keymap`.

A screen declares `KEYS = keys.HOME` and `BINDINGS = keys.bindings(KEYS)`. Ids are stable (`run.pause`), so that users
can remap them. Keys with `keys=""` have no binding and live in the palette alone. Capitals act on the run and ask first
where it costs; bare letters are only bound on screens where no input has the focus all the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType

REMAPPED: dict[str, str] = {}
"""Binding id -> the user's own keys; filled once, when the application starts."""


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that a user can do on a screen.

    Attributes:
        id: stable name, `scope.verb`.
        keys: Textual key names, separated by commas; the first one is shown.
        action: the action of the screen or app: `pause` calls `action_pause`.
        label: one or two words for the footer.
        description: one sentence for help and palette.
        footer: whether it competes for a place in the footer (in the order of declaration).
        priority: whether it wins over the focused widget.
    """

    id: str
    keys: str
    action: str
    label: str
    description: str
    footer: bool = True
    priority: bool = False

    @property
    def current(self) -> str:
        """The keys in force: the user's own where there are some."""
        return REMAPPED.get(self.id, self.keys)

    @property
    def shown(self) -> str:
        """The first key as people write it: `enter`, `ctrl+p`, `?`, `+`."""
        first = self.current.split(",")[0]
        return _NAMES.get(first, first)

    @property
    def all_shown(self) -> str:
        """All keys as people write them."""
        return " ".join(_NAMES.get(key, key) for key in self.current.split(",") if key)


_NAMES = {
    "question_mark": "?",
    "colon": ":",
    "escape": "esc",
    "up": "up",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "slash": "/",
    "left_square_bracket": "[",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "right_square_bracket": "]",
    "full_stop": ".",
}


def bindings(keys: Iterable[Key]) -> list[BindingType]:
    """Textual bindings for `keys`."""
    return [
        Binding(key.keys, key.action, key.label, id=key.id, tooltip=key.description, show=False, priority=key.priority)
        for key in keys
        if key.keys
    ]


APP: tuple[Key, ...] = (
    Key("app.help", "question_mark,f1", "help", "help", "Show the keys of this screen and what it is for."),
    Key("app.palette", "ctrl+p,colon,f2", "command_palette", "commands", "Find any command by name.", footer=False),
    Key("app.jump", "ctrl+o", "jump", "jump", "Show a letter at every place to go to; press it.", footer=False),
    Key("app.theme", "", "change_theme", "theme", "Choose another colour theme.", footer=False),
    Key("app.leave", "ctrl+q", "leave", "leave", "Leave tuiwiz.", footer=False, priority=True),
)
"""On every screen."""

HOME: tuple[Key, ...] = (
    Key("home.open", "enter", "open_run", "open", "Open the selected run."),
    Key("home.new", "n", "new_run", "new run", "Answer a few questions and start a new run."),
    Key("home.demo", "d", "demo", "demo", "Train a small real model on shipped data, in about three minutes."),
    Key("home.presets", "p", "presets", "presets", "Look through the preset gallery."),
    Key("home.mark", "space", "mark", "mark", "Mark the selected run for comparing.", footer=False),
    Key("home.compare", "c", "compare", "compare", "Compare the marked runs, or the selected one with those below."),
    Key("home.study", "t", "studies", "study", "Open the newest study of `tuiwiz tune`.", footer=False),
    Key("home.down", "j", "cursor_down", "down", "Next run.", footer=False),
    Key("home.up", "k", "cursor_up", "up", "Previous run.", footer=False),
    Key("home.first", "g", "cursor_first", "first", "First run.", footer=False),
    Key("home.last", "G", "cursor_last", "last", "Last run.", footer=False),
    Key("home.reload", "r", "reload", "reload", "Read the list of runs again.", footer=False),
    Key("home.quit", "q", "app.leave", "quit", "Leave tuiwiz; runs go on."),
)

RUN: tuple[Key, ...] = (
    Key("run.pause", "P", "pause", "pause", "Pause training after the current step."),
    Key("run.resume", "R", "resume", "resume", "Go on after a pause."),
    Key("run.checkpoint", "C", "checkpoint", "checkpoint", "Save a checkpoint after the current step."),
    Key("run.stop", "S", "stop", "stop", "Save a checkpoint and stop the run; it can be continued."),
    Key("run.extend", "E", "extend", "longer", "Train longer than planned; asks how much.", footer=False),
    Key("run.cadence", "V", "cadence", "evaluate", "Evaluate now, more often or less often.", footer=False),
    Key("run.fork", "F", "fork", "new bundle", "Write a new bundle with the change that the doctor proposes."),
    Key("run.crosshair", "x", "crosshair", "crosshair", "Read values on the chart with the arrow keys."),
    Key("run.quit", "q", "quit", "quit", 'Leave; asks "detach or stop" where this screen started the run.'),
    Key("run.detach", "d", "detach", "detach", "Leave the screen; the run goes on."),
    Key("run.zoom", "z", "zoom_chart", "bigger", "Give the chart the whole screen, and back."),
    Key("run.back", "escape", "back", "back", "Leave the crosshair, else go back.", footer=False),
    Key("run.result", "0", "pane('result')", "result", "Pane: how the run ended.", footer=False),
    Key("run.loss", "1", "pane('loss')", "loss", "Pane: loss and validation in numbers.", footer=False),
    Key("run.metrics", "2", "pane('metrics')", "metrics", "Pane: every metric with a small curve.", footer=False),
    Key("run.memory", "3", "pane('memory')", "memory", "Pane: memory predicted against actual.", footer=False),
    Key("run.gpu", "4", "pane('gpu')", "GPU", "Pane: GPU and host.", footer=False),
    Key("run.samples", "5", "pane('samples')", "samples", "Pane: held-out prompts, base against now.", footer=False),
    Key("run.log", "6", "pane('log')", "log", "Pane: the log.", footer=False),
    Key("run.health", "7", "pane('health')", "health", "Pane: alerts, controls and changes.", footer=False),
    Key("run.bundle", "8", "pane('bundle')", "bundle", "Pane: the bundle of this run.", footer=False),
    Key("run.doctor", "9", "pane('doctor')", "doctor", "Pane: what is wrong, and the change to try.", footer=False),
    Key("run.next", "tab,right_square_bracket", "next_pane(1)", "next pane", "Next pane.", footer=False),
    Key("run.previous", "shift+tab,left_square_bracket", "next_pane(-1)", "previous", "Previous pane.", footer=False),
    Key("run.left", "left,h", "chart_left", "left", "Chart: pan, or move the crosshair, to the left.", footer=False),
    Key("run.right", "right,l", "chart_right", "right", "Chart: pan, or move the crosshair, right.", footer=False),
    Key("run.in", "plus,equals_sign", "chart_in", "zoom in", "Chart: zoom in.", footer=False),
    Key("run.out", "minus", "chart_out", "zoom out", "Chart: zoom out.", footer=False),
    Key("run.follow", "f", "follow", "follow", "Chart and log: show all and follow the newest.", footer=False),
    Key("run.log_axis", "L", "log_axis", "log axis", "Chart: logarithmic value axis on and off.", footer=False),
    Key("run.metric", "m", "metric(1)", "metric", "Chart: the next metric.", footer=False),
    Key("run.metric_back", "M", "metric(-1)", "metric back", "Chart: the metric before.", footer=False),
    Key("run.axis", "t", "axis", "axis", "Chart: over steps, time or tokens.", footer=False),
    Key("run.compare", "o", "compare", "compare", "Compare with the newest other runs."),
    Key("run.smooth", "s", "smooth", "smoothing", "Chart: more smoothing, then none.", footer=False),
    Key("run.down", "j,down", "scroll_pane(1)", "down", "Scroll the pane down.", footer=False),
    Key("run.up", "k,up", "scroll_pane(-1)", "up", "Scroll the pane up.", footer=False),
    Key("run.end", "G,end", "scroll_pane(1000000)", "end", "Scroll the pane to its end.", footer=False),
    Key("run.begin", "g,home", "scroll_pane(-1000000)", "begin", "Scroll the pane to its beginning.", footer=False),
    Key("run.taller", "right_curly_bracket", "size(1)", "taller", "Give the pane more rows; remembered.", footer=False),
    Key("run.lower", "left_curly_bracket", "size(-1)", "lower", "Give the chart more rows; remembered.", footer=False),
    Key("run.search", "slash", "search", "search", "Search the log, or filter the metrics.", footer=False),
    Key("run.level", "w", "level", "level", "Log: all, warnings and errors, or errors only.", footer=False),
    Key(
        "run.copy", "y", "copy", "copy", "Copy the run folder's path, or on the finish card the snippet.", footer=False
    ),
)

WIZARD: tuple[Key, ...] = (
    Key("wizard.enter", "enter", "enter", "next", "Take this step's answer and go to the next one."),
    Key("wizard.edit", "enter", "edit", "edit", "Settings: edit the value; in the line, up and down show what can be."),
    Key("wizard.back", "escape", "back", "back", "Go back a step, or out of the line being edited; nothing is lost."),
    Key("wizard.on", "ctrl+n", "go_on", "next", "Settings: go on to Review."),
    Key("wizard.next", "ctrl+n", "next", "next", "The same as enter, whatever has the focus.", footer=False),
    Key("wizard.write", "ctrl+s", "write", "write", "Review: write the bundle and leave."),
    Key("wizard.run", "ctrl+t", "train", "write and run", "Review: write the bundle, start the run, watch it."),
    Key("wizard.add", "ctrl+o", "add_set", "add a set", "Data: name one more training set, mixed with the others."),
    Key("wizard.leave_out", "ctrl+r", "leave_out", "leave out", "Data: leave the set out whose line you are in."),
    Key("wizard.reset", "ctrl+r", "reset", "reset", "Settings: take back your own value of this key."),
    Key("wizard.take", "a", "take_other", "alternative", "Settings: take the other value that is shown."),
    Key("wizard.why", "w", "why", "why", "Settings: the whole reason and all alternatives, and back."),
    Key("wizard.verify", "v", "verify", "verify", "Fit: check the first rows by simulating a step; some seconds."),
    Key("wizard.gpu", "g", "other_gpu", "another GPU", "Fit: choose another device and come back.", priority=True),
    Key("wizard.undo", "ctrl+z", "undo", "undo", "Take back the last change of an answer."),
    Key("wizard.redo", "ctrl+y", "redo", "redo", "Do again what was taken back.", footer=False),
    Key("wizard.complete", "tab", "complete", "complete", "Take the path that is offered, else go on.", footer=False),
    Key("wizard.anew", "ctrl+l", "anew", "start anew", "Forget all answers and begin with the first.", footer=False),
)

COMPARE: tuple[Key, ...] = (
    Key("compare.metric", "m", "metric(1)", "metric", "Draw the next metric."),
    Key("compare.metric_back", "M", "metric(-1)", "metric back", "Draw the metric before.", footer=False),
    Key("compare.align", "t", "align", "axis", "Over steps, time or tokens."),
    Key("compare.crosshair", "x", "crosshair", "crosshair", "Read values on the chart with the arrow keys."),
    Key("compare.smooth", "s", "smooth", "smoothing", "More smoothing, then none."),
    Key("compare.log_axis", "L", "log_axis", "log axis", "Logarithmic value axis on and off."),
    Key("compare.back", "escape,q", "back", "back", "Leave the crosshair, else go back."),
    Key("compare.left", "left,h", "chart_left", "left", "Pan, or move the crosshair, to the left.", footer=False),
    Key("compare.right", "right,l", "chart_right", "right", "Pan, or move the crosshair, right.", footer=False),
    Key("compare.in", "plus,equals_sign", "chart_in", "zoom in", "Zoom in.", footer=False),
    Key("compare.out", "minus", "chart_out", "zoom out", "Zoom out.", footer=False),
    Key("compare.follow", "f", "follow", "all", "Show all.", footer=False),
    Key("compare.down", "j,down", "scroll(1)", "down", "Scroll the table down.", footer=False),
    Key("compare.up", "k,up", "scroll(-1)", "up", "Scroll the table up.", footer=False),
)

PRESETS: tuple[Key, ...] = (
    Key("presets.open", "enter", "open", "open", "Open the selected preset: values, reasons, results."),
    Key("presets.search", "slash", "search", "search", "Search by words: name, task, method, a grade, own, measured."),
    Key("presets.mark", "space", "mark", "mark", "Mark the selected preset; two marked ones can be compared."),
    Key("presets.compare", "c", "compare", "compare", "Put the two marked presets beside each other."),
    Key("presets.back", "escape", "back", "back", "Leave the search, else go back."),
)

PRESET: tuple[Key, ...] = (
    Key("preset.use", "u,enter", "use", "use", "Start the wizard with this preset, its task and its method."),
    Key("preset.larger", "right,l", "band(1)", "larger models", "Show the values for the next larger size of model."),
    Key("preset.smaller", "left,h", "band(-1)", "smaller models", "Show the values for the next smaller size."),
    Key("preset.down", "j", "scroll(1)", "down", "Scroll down.", footer=False),
    Key("preset.up", "k", "scroll(-1)", "up", "Scroll up.", footer=False),
    Key("preset.back", "escape,q", "back", "back", "Go back to the gallery."),
)

STUDY: tuple[Key, ...] = (
    Key("study.open", "enter", "open", "open", "Open the selected trial as a run."),
    Key("study.pane", "tab", "next_pane", "picture", "The next picture: lines, curves, importance."),
    Key("study.bundle", "b", "write_bundle", "bundle", "Write the winner as a bundle, with its evidence."),
    Key("study.preset", "p", "write_preset", "preset", "Write the winner as one of your presets, with its evidence."),
    Key("study.crosshair", "x", "crosshair", "crosshair", "Read values on the curves with the arrow keys."),
    Key("study.source", "m", "source", "train or held out", "Curves: training loss, or that of held-out rows."),
    Key("study.back", "escape,q", "back", "back", "Leave the crosshair, else go back; the study goes on."),
    Key("study.lines", "1", "pane('lines')", "lines", "Trials as parallel lines.", footer=False),
    Key("study.curves", "2", "pane('curves')", "curves", "Curves of up to eight trials.", footer=False),
    Key(
        "study.importance", "3", "pane('importance')", "importance", "What moved the score, or verdicts.", footer=False
    ),
    Key("study.log_axis", "L", "log_axis", "log axis", "Curves: logarithmic axis on and off.", footer=False),
    Key("study.left", "left,h", "chart_left", "left", "Curves: pan or move the crosshair left.", footer=False),
    Key("study.right", "right,l", "chart_right", "right", "Curves: pan or move the crosshair right.", footer=False),
    Key("study.in", "plus,equals_sign", "chart_in", "zoom in", "Curves: zoom in.", footer=False),
    Key("study.out", "minus", "chart_out", "zoom out", "Curves: zoom out.", footer=False),
    Key("study.reload", "r", "reload", "reload", "Read the study again.", footer=False),
)

HELP: tuple[Key, ...] = (Key("help.back", "escape,q,question_mark", "back", "back", "Close help."),)
