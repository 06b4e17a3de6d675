// Stands in for the header that llama.cpp generates around its web page: the peer serves no page.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

struct llama_ui_asset {
    std::string           name;
    const unsigned char * data;
    size_t                size;
    std::string           etag;
    std::string           type;
};

const llama_ui_asset *              llama_ui_find_asset(const std::string & name);
const std::vector<llama_ui_asset> & llama_ui_get_assets();
bool                                llama_ui_use_gzip();
