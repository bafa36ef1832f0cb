"""A terminal's screen in memory, as an xterm would hold it after the bytes that a program wrote: characters with their
widths, the cursor, and the escape codes that line editors use. An escape code that it does not know is an error."""
import re
import unicodedata

ESCAPE = re.compile(r"\x1b(?:\[([?>]?)([0-9;]*)([A-Za-z@])|[=>]|\(B)")


def width_of(character):
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Screen:
    def __init__(self, columns, rows):
        self.columns, self.height = columns, rows
        self.rows = [[]]  # all that were ever shown; a wide character fills its cell and an empty one
        self.row = self.column = 0
        self.rest = b""  # of a character or escape code whose end has not come

    def shown(self):
        """All rows, also those that scrolled away, without spaces at their ends but that before the cursor."""
        lines = ["".join(cell or "" for cell in row).rstrip() for row in self.rows]
        while len(lines) > 1 and not lines[-1]:
            lines.pop()
        return "\n".join(lines)

    def resize(self, columns, rows):
        """Another size; rows that are too long now go on in the next one, as terminals do it today."""
        at = self.row
        for index in range(len(self.rows) - 1, -1, -1):
            row, pieces = self.rows[index], []
            while len(row) > columns:
                cut = columns - (row[columns] == "")  # a wide character stays whole
                pieces.append(row[:cut])
                row = row[cut:]
            if pieces:
                self.rows[index:index + 1] = pieces + [row]
                if index < at:
                    self.row += len(pieces)
                elif index == at:
                    while self.column > columns:
                        self.row, self.column = self.row + 1, self.column - columns
        self.columns, self.height = columns, rows

    def feed(self, data):
        data = self.rest + data
        text = data.decode(errors="ignore")
        whole = len(text.encode())
        self.rest = data[whole:] if len(data) - whole < 4 and data.startswith(text.encode()) else b""
        at = 0
        while at < len(text):
            character = text[at]
            if character == "\x1b":
                match = ESCAPE.match(text, at)
                if not match:
                    if len(text) - at < 16:  # the rest is still to come
                        self.rest = text[at:].encode() + self.rest
                        return
                    raise AssertionError(f"an unknown escape code: {text[at:at + 16]!r}")
                if match.group(3):
                    self.control(match.group(1), [int(n) if n else 0 for n in match.group(2).split(";")], match.group(3))
                at = match.end()
                continue
            self.put(character)
            at += 1

    def put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.down()
        elif character == "\b":
            self.column = max(0, min(self.column, self.columns - 1) - 1)
        elif character == "\t":
            self.column = min((self.column // 8 + 1) * 8, self.columns - 1)
        elif character >= " ":
            width = width_of(character)
            if width == 0:
                self.rows[self.row][self.column - 1] += character
                return
            if self.column + width > self.columns:
                self.column = 0
                self.down()
            row = self.rows[self.row]
            row.extend(" " * (self.column + width - len(row)))
            row[self.column] = character
            if width == 2:
                row[self.column + 1] = ""
            self.column += width

    def down(self):
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    def control(self, private, numbers, letter):
        n = max(1, numbers[0])
        row = self.rows[self.row]
        top = max(0, len(self.rows) - self.height)
        if private or letter == "m":
            return
        if letter == "A":
            self.row = max(top, self.row - n)
        elif letter == "B":
            for _ in range(n):
                self.down()
        elif letter == "C":
            self.column = min(self.columns - 1, self.column + n)
        elif letter == "D":
            self.column = max(0, self.column - n)
        elif letter == "G":
            self.column = n - 1
        elif letter == "H":
            self.row, self.column = top + n - 1, max(1, numbers[1] if len(numbers) > 1 else 1) - 1
            while self.row >= len(self.rows):
                self.rows.append([])
        elif letter == "K":
            if numbers[0] != 0:
                raise AssertionError(f"erase in line {numbers}")
            del row[self.column:]
        elif letter == "J":
            if numbers[0] == 2:
                for line in self.rows[top:]:
                    line.clear()
            else:
                del row[self.column:]
                del self.rows[self.row + 1:]
        elif letter == "P":
            del row[self.column:self.column + n]
        elif letter == "@":
            row[self.column:self.column] = [" "] * n
            del row[self.columns:]
        elif letter == "X":
            row[self.column:self.column + n] = [" "] * min(n, max(0, len(row) - self.column))
        else:
            raise AssertionError(f"an unknown escape code: {letter} {numbers}")
