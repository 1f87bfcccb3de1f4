"""smart-router beside other routers, on the same upstream, under the same load; see README.md."""
