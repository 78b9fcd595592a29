"""Every code that a diagnostic can have, with its title; `specc explain CODE` shows the page of the same name.

A semantic finding also says which parts of the spec it was derived from. Where one of them has an error of its own, the
finding may be nothing but a consequence, so it is not reported.
"""

from __future__ import annotations

from dataclasses import dataclass

Pattern = tuple[str, ...]  # a path in the spec; `*` stands for any one part


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for. `needs` are dotted paths."""

    title: str
    needs: tuple[str, ...] = ()

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The paths that the finding was derived from."""
        return tuple(tuple(path.split(".")) for path in self.needs)


_IMAGES = ("data.dataset", "data.image_size", "data.channels", "data.classes", "data.samples")
_SHAPES = (*_IMAGES, "backbone")
_BLOCKS = ("backbone", "split")
_WINDOWS = (*_BLOCKS, "levels.*.name", "levels.*.window", "levels.*.skip")
_HEADS = (*_SHAPES, *_WINDOWS, "auxiliary.*", "levels.*.auxiliary", "levels.*.units")
_LINKS = (*_SHAPES, *_WINDOWS, "ema_links.*.from", "ema_links.*.layers", "ema_links.*.levels")

CODES: dict[str, Code] = {
    # YAML
    "SPC001": Code("not UTF-8"),
    "SPC002": Code("file too large"),
    "SPC003": Code("empty spec"),
    "SPC004": Code("top level is not a mapping"),
    "SPC005": Code("several documents"),
    "SPC006": Code("YAML syntax error"),
    "SPC007": Code("tab in the indentation"),
    "SPC008": Code("duplicate key"),
    "SPC009": Code("nested too deeply"),
    "SPC010": Code("too many values"),
    "SPC011": Code("alias contains itself"),
    "SPC012": Code("aliases expand too far"),
    "SPC013": Code("unknown anchor"),
    "SPC014": Code("tag"),
    "SPC015": Code("key is not a string"),
    "SPC016": Code("YAML 1.1 boolean"),
    "SPC017": Code("YAML 1.1 number"),
    "SPC018": Code("merge of something else than a mapping"),
    "SPC019": Code("control character"),
    "SPC020": Code("override is not `path=value`"),
    "SPC021": Code("override with an incomplete path"),
    "SPC022": Code("override with an unreadable value"),
    "SPC023": Code("override outside of a list"),
    "SPC024": Code("override inside of a plain value"),
    "SPC025": Code("integer too long"),
    "SPC026": Code("no such parent"),
    "SPC027": Code("specs extend one another"),
    "SPC028": Code("the parent is no spec"),
    "SPC029": Code("`extends` outside of a file"),
    # keys and values
    "SPC101": Code("unknown key"),
    "SPC102": Code("missing key"),
    "SPC103": Code("value of the wrong kind"),
    "SPC104": Code("value outside of its range"),
    "SPC105": Code("not one of the values"),
    "SPC106": Code("number is not finite"),
    "SPC107": Code("keys that exclude each other"),
    "SPC108": Code("key without effect", ("*",)),
    "SPC109": Code("text of the wrong form"),
    "SPC110": Code("list of the wrong length"),
    "SPC111": Code("variable outside of a path"),
    "SPC112": Code("plug-in that cannot be used"),
    "SPC113": Code("package is not installed"),
    # names
    "SPC201": Code("unknown layer", ("backbone",)),
    "SPC202": Code("name taken twice", ("levels.*.name",)),
    "SPC203": Code("unknown op"),
    "SPC204": Code("unknown argument of an op"),
    "SPC205": Code("missing argument of an op"),
    "SPC206": Code("wrong value of an op's argument"),
    "SPC207": Code("unknown level", ("levels.*.name",)),
    "SPC208": Code("a unit named twice", ("levels.*.skip", "levels.*.units")),
    "SPC209": Code("parts of one name", ("backbone",)),
    "SPC210": Code("unknown group"),
    "SPC211": Code("unknown parameter of a group"),
    "SPC212": Code("missing parameter of a group"),
    "SPC213": Code("a group contains itself"),
    "SPC214": Code("a group or parameter that nobody uses", ("backbone",)),
    "SPC215": Code("a layer outside of the group"),
    "SPC216": Code("not one value a repetition"),
    "SPC217": Code("too many layers", ("backbone",)),
    # graph and shapes
    "SPC301": Code("images too small for the backbone", _SHAPES),
    "SPC302": Code("layer does not fit what it reads", _SHAPES),
    "SPC303": Code("not the expected shape", _SHAPES),
    "SPC304": Code("the network's end is not what is learnt", (*_SHAPES, "task")),
    "SPC305": Code("loose end", ("backbone",)),
    "SPC306": Code("layer read before it is made", ("backbone",)),
    "SPC307": Code("unknown torchvision model", _SHAPES),
    "SPC308": Code("torchvision model cannot be traced", _SHAPES),
    "SPC309": Code("torchvision model not traced yet", _SHAPES),
    "SPC310": Code("nothing left to shrink", _SHAPES),
    "SPC311": Code("grey images read as colours", _SHAPES),
    # local learning
    "SPC401": Code("not a legal cut", ("backbone",)),
    "SPC402": Code("too many blocks", _BLOCKS),
    "SPC403": Code("layer cut twice", ("backbone",)),
    "SPC404": Code("cuts out of order", ("backbone",)),
    "SPC405": Code("window larger than the number of blocks", (*_BLOCKS, "levels.*.window")),
    "SPC406": Code("no such unit", (*_BLOCKS, "levels.*.window")),
    "SPC407": Code("unit skipped and changed at once", ("levels.*.skip", "levels.*.units")),
    "SPC408": Code("block without parameters", ("backbone",)),
    "SPC410": Code("head does not fit the features", _HEADS),
    "SPC411": Code("one weight a unit", _HEADS),
    "SPC412": Code("negative weight", (*_HEADS, "levels.*.weight")),
    "SPC413": Code("all weights of a unit are zero", (*_HEADS, "levels.*.weight")),
    "SPC414": Code("block without supervision", _HEADS),
    "SPC415": Code("op in a head does not fit", _HEADS),
    "SPC416": Code("decoder does not give the image", _HEADS),
    "SPC417": Code("features cannot be cut into patches", _HEADS),
    "SPC418": Code("head runs without patches", _HEADS),
    "SPC419": Code("loss without anything to compare with", (*_HEADS, "task")),
    "SPC421": Code("no layers for the EMA link", _LINKS),
    "SPC422": Code("EMA link to other shapes", _LINKS),
    "SPC423": Code("EMA links that cannot be added", _LINKS),
    "SPC424": Code("EMA link to an earlier layer", _LINKS),
    "SPC425": Code("EMA link without a unit", _LINKS),
    "SPC426": Code("nothing to average", _LINKS),
    "SPC427": Code("EMA link with fewer layers", _LINKS),
    "SPC428": Code("EMA link with other layers", _LINKS),
    # budget
    "SPC501": Code("predicted peak over the budget"),
    "SPC502": Code("not a memory size"),
    "SPC503": Code("memory size not positive"),
    "SPC504": Code("`fit` needs a budget", ("budget",)),
    "SPC505": Code("no split fits the budget"),
    "SPC506": Code("units by number, with their number left to the budget", ("split", "levels", "auxiliary")),
    # data and training
    "SPC601": Code("the data set needs a key", _IMAGES),
    "SPC602": Code("contradicts the data set", _IMAGES),
    "SPC603": Code("one number a channel", (*_IMAGES, "data.mean", "data.std")),
    "SPC604": Code("batch larger than the data set", (*_IMAGES, "data.batch_size")),
    "SPC605": Code("one value for statistics", (*_HEADS, "ema_links.*", "data.batch_size")),
    "SPC606": Code("not what the data set is for", ("task", "data.dataset")),
    "SPC610": Code("Nesterov without momentum"),
    "SPC611": Code("warm-up as long as the training", ("train.epochs", "train.schedule")),
    "SPC612": Code("milestone after the end", ("train.epochs", "train.schedule")),
    "SPC613": Code("schedule contradicts itself"),
    "SPC620": Code("statistics per slice", ("train.micro_batches",)),
    "SPC621": Code("loss of slices is not that of the batch", (*_HEADS, "train.micro_batches")),
    "SPC622": Code("more slices than images", (*_IMAGES, "train.micro_batches")),
}
