"""What a statement may be made of: node classes of the parser and functions of the engine, as data.

Everything not listed is refused. A typed node (`Lower`) is listed by its class, because the parser folds spellings
together; the engine's authorizer then sees the real name of every function, in views and triggers too, and compares
it with `FUNCTIONS`. Left out on purpose: `load_extension`,
`fts3_tokenizer`, `sqlite_compileoption_*`, `edit`, `readfile`, `writefile`, and what tells about the connection rather
than the data (`changes`, `total_changes`, `last_insert_rowid`).
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Parts of a query that are no function.
QUERY_NODES = _words(
    """
    Add Alias And Between BitwiseAnd BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift Boolean Case Cast
    Collate Column CTE DataType DataTypeParam Distinct Div Dot DPipe EQ Escape Except Exists Filter From Glob
    Group GT GTE Having HexString Identifier If In Intersect Is Join JSONKeyValue JSONPath JSONPathKey
    JSONPathRoot JSONPathSubscript Like Limit Literal LT LTE Match Mod Mul NEQ Neg Not Null NullSafeEQ
    NullSafeNEQ Offset Or Order Ordered Paren Placeholder Parameter Select Star Sub Subquery Table TableAlias
    Tuple Union Values Var Where Window WindowSpec With
    """
)

#: What a change may hold besides.
CHANGE_NODES = _words("Delete Insert OnConflict Returning Schema Update")

#: Functions of the engine that the parser knows as classes of their own.
FUNCTION_NODES = _words(
    """
    Abs Acos Acosh Anonymous Asin Asinh Atan Atan2 Atanh Avg Ceil Chr Coalesce Concat ConcatWs Cos Cosh Count
    CumeDist CurrentDate CurrentTime CurrentTimestamp CurrentVersion Date Degrees DenseRank Exp FirstValue Floor
    Format Greatest GroupConcat Hex JSONArrayAgg JSONExtract JSONExtractScalar JSONObject JSONObjectAgg
    JSONRemove JSONSet JSONType Lag LastValue Lead Least Length Ln Log Lower Max Median Min NthValue Ntile
    Nullif PercentRank Pi Pow Radians Rand Rank Replace Round RowNumber Sign Sin Sinh Soundex Sqrt StrPosition
    Substring Sum Tan Tanh TimeToStr Trim Trunc TsOrDsToTimestamp Typeof Unhex Unicode Upper
    """
)

#: SQLite's functions that only compute (https://www.sqlite.org/lang_corefunc.html and its siblings).
FUNCTIONS = _words(
    """
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg bm25 ceil ceiling char coalesce concat concat_ws cos
    cosh count cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp
    first_value floor format glob group_concat hex highlight if ifnull iif instr json json_array
    json_array_length json_error_position json_extract json_group_array json_group_object json_insert
    json_object json_patch json_pretty json_quote json_remove json_replace json_set json_type json_valid
    julianday lag last_value lead length like likelihood likely ln log log10 log2 lower ltrim match max median
    min mod nth_value ntile nullif octet_length percent_rank pi pow power printf quote radians random randomblob
    rank replace round row_number rtrim sign sin sinh snippet soundex sqlite_version sqrt strftime string_agg
    substr substring sum tan tanh time timediff total trim trunc typeof unhex unicode unixepoch unlikely upper
    zeroblob
    """
)

#: Functions that stand where a table does.
TABLE_FUNCTIONS = _words("json_each json_tree")

#: `PRAGMA` forms that only read the structure; they stand where a table does, too, as `pragma_table_info('t')`.
PRAGMAS = _words("table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list")

#: Blobs of a size that the text names: at most this many bytes.
MOST_BLOB_BYTES = 1_000_000
SIZED = _words("zeroblob randomblob")

#: One call of these over long values is quadratic, and the engine cannot be stopped within one call. The second
#: argument must be plain (a literal, a parameter, a column), or, for a set of characters, a literal.
PLAIN_NEEDLE = _words("instr replace")
#: So many such calls in one statement, over shorter values: between two of them nobody looks at the clock.
MOST_SLOW = 4
MOST_SLOW_LENGTH = 200_000
SHORT_SET = _words("trim ltrim rtrim unhex")
MOST_SET_CHARACTERS = 100
