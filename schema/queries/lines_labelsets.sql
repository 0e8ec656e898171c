labelset IN
(
SELECT
    labelset
FROM series
WHERE account = {account:UUID}
  AND metric = {metric:String}
  AND /*conditions*/
)
