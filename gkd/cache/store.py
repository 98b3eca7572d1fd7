"""Cache entries of one teacher, with one state of its weights: in memory, or in files."""

from collections.abc import Mapping, Sequence

from gkd.cache.entries import Entry, EntryFiles
from gkd.cache.keys import NODES, same_inputs
from gkd.errors import DataError
from gkd.loss import View


class Store:
    """Entries by sample and key.

    Attributes:
        num_bytes: of the entries in memory.
        independent: keys of which entries made in other company have been compared.

    Args:
        fingerprint: of the teacher's weights, in this process.
        files: where entries go that memory has no room for.
    """

    def __init__(self, fingerprint: object, files: EntryFiles | None) -> None:
        self.fingerprint = fingerprint
        self.independent: set[str] = set()
        self.num_bytes = 0
        self._files = files
        self._digests: dict[str, dict[str, int]] = {}
        self._entries: dict[tuple[str, str], Entry] = {}
        self._filed: dict[tuple[str, str], int] = {}

    @property
    def num_bytes_in_files(self) -> int:
        """Content of the files that this process wrote or found."""
        return sum(self._filed.values())

    @property
    def num_samples(self) -> int:
        """Number of samples of which something is kept."""
        return len({id for id, _ in (*self._entries, *self._filed)})

    def find(self, id: str, digest: Mapping[str, int], keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of a sample that are kept, by key.

        Raises:
            DataError: the sample has changed since its teacher outputs were cached.
        """
        known = self._digests.setdefault(id, dict(digest))
        if not same_inputs(known, digest):
            then, now = known[NODES], digest[NODES]
            sizes = f" (it had {then} nodes and now has {now})" if then != now else ""
            raise DataError(
                f"teacher cache: sample {id!r} has changed since its teacher outputs were cached"
                f"{sizes}; two samples share this id, or the data is augmented: then its dataset "
                "says augmented = True, and a Distiller takes teacher_cache=None"
            )
        known |= digest
        entries = {key: self._entries.get((id, key)) or self._read(id, key) for key in keys}
        return {key: entry for key, entry in entries.items() if entry is not None}

    def keep(self, id: str, views: Mapping[str, View], company: tuple[str, ...], room: int) -> bool:
        """Keep entries of a sample, in memory if together they take at most ``room`` bytes.

        Returns:
            Whether there was room for them, in memory or in files.
        """
        entries = {key: Entry(view, company) for key, view in views.items()}
        digest = self._digests[id]
        fits = sum(entry.num_bytes for entry in entries.values()) <= room
        for key, entry in entries.items():
            if fits:
                self._entries[id, key] = entry
                self.num_bytes += entry.num_bytes
            elif self._files is not None and self._files.write(id, key, digest, entry):
                self._filed[id, key] = entry.num_bytes
            else:
                return False
        return True

    def _read(self, id: str, key: str) -> Entry | None:
        """Return an entry from a file that this process, another or an earlier one left."""
        self._filed.pop((id, key), None)
        entry = None if self._files is None else self._files.read(id, key, self._digests[id])
        if entry is not None:
            self._filed[id, key] = entry.num_bytes
        return entry
