"""All readers of gkd, by name. A new one joins by an entry in one of these lists."""

import data_readers
import recipe_readers
import run_readers

READERS = {
    reader.name: reader
    for readers in (data_readers, recipe_readers, run_readers)
    for reader in readers.READERS
}
