(node, labelset) IN
(
SELECT
    node,
    labelset
FROM series
WHERE account = {account:UUID}
  AND metric = {metric:String}
  AND /*matching*/
  AND (/*values*/) IN
(
/*top*/
)
)
